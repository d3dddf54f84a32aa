"""Makes the demo data of a first look at the console: three bots that read the sandbox Reddit."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from scraping.models import SANDBOX_CLIENT_ID, BotConfig, RedditApp
from scraping.sandbox import CLIENT_SECRET

# Together they cost about 30 requests. Posts of TinyGardens that are older than the retention are not stored.
BOTS: tuple[dict[str, Any], ...] = (
    {
        "name": "Gardens, newest posts",
        "subreddits": ["TinyGardens", "SlowCooking"],
        "sort": BotConfig.Sort.NEW,
        "post_limit": 200,
        "comment_policy": BotConfig.CommentPolicy.NONE,
    },
    {
        "name": "Workshop, what is hot",
        "subreddits": ["HomeWorkshop"],
        "sort": BotConfig.Sort.HOT,
        "post_limit": 8,
        "comment_policy": BotConfig.CommentPolicy.FIRST_PAGE,
        "comment_limit": 100,
    },
    {
        "name": "Night sky, best of the week",
        "subreddits": ["NightSkyNotes"],
        "sort": BotConfig.Sort.TOP,
        "time_filter": BotConfig.TimeFilter.WEEK,
        "post_limit": 5,
        "comment_policy": BotConfig.CommentPolicy.COMPLETE,
        "comment_limit": 500,
    },
)


@transaction.atomic
def create_demo(owner: AbstractBaseUser) -> list[BotConfig]:
    """Make the app "Sandbox" and its bots for ``owner``; return the bots made.

    Create-only: if the app exists, nothing is changed, so that edits and deletions by operators are kept.
    """
    app, is_new = RedditApp.objects.get_or_create(
        client_id=SANDBOX_CLIENT_ID,
        defaults={
            "name": "Sandbox",
            "client_secret": CLIENT_SECRET,
            "user_agent": "python:maintenance-console-sandbox:0.1.0 (by /u/sandbox)",
        },
    )
    if not is_new:
        return []
    return [BotConfig.objects.create(owner_id=owner.pk, app=app, **bot) for bot in BOTS]
