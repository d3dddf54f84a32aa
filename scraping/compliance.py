"""Re-checks stored items, so that what is deleted on Reddit is deleted here too (Reddit's Data API terms).

The safety principle: nothing exempts an item, neither a hold nor its age. What Reddit calls deleted or removed
loses title, text, URLs, media and flair, its state stays; a deleted account loses name and id; what two checks
in a row left out is a tombstone, blank but for fullname, subreddit, times and numbers. All of it heals: an item
that Reddit shows again gets its content back.

Reddit offers no feed of deletions, so the least recently verified items are asked for, 100 a request; a scrape
that meets an item verifies it too. A subreddit that went private looks like all its items missing, and is
treated so, item by item.
"""

from collections import Counter
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from scraping.content import (
    BLANK_AUTHOR,
    BLANK_COMMENT,
    BLANK_POST,
    BadItem,
    comment_values,
    post_values,
)
from scraping.models import BotConfig, ContentState, RedditComment, RedditPost
from scraping.progress import Progress
from scraping.reddit import INFO_SIZE, RedditClient, client_for, environment_credentials
from scraping.storage import COMMENT_FIELDS, POST_FIELDS, SIGHT_FIELDS

# Reddit may leave an item out once by accident; twice in a row it is gone.
MISSING_MAX: Final = 2

Item = RedditPost | RedditComment


def refresh_stored_content(progress: Progress, *, max_requests: int = 20) -> dict[str, int]:
    """Verify up to 100 items a request, least recently verified first, and return counts of what happened.

    Counts: ``requests``, ``checked`` = ``unchanged`` + ``updated`` + ``deleted`` (by the author) + ``removed``
    (by a moderator or Reddit) + ``account_deleted`` + ``restored`` + ``missing`` (once; kept) + ``tombstoned``
    + ``unreadable`` (left as they were). Each request's items are one transaction. With nothing stored, Reddit
    is not asked.

    Raises:
        RedditError: Reddit did not answer as hoped; what was verified before is saved.
        BaseException: what ``progress.checkpoint()`` raised, likewise.
    """
    started_at = timezone.now()
    counts: Counter[str] = Counter()
    items = _least_recently_checked(started_at)
    if not items:
        return _all_counts(counts)
    total = min(max_requests * INFO_SIZE, RedditPost.objects.count() + RedditComment.objects.count())
    with client_for(_config_with_app()) as client:
        while items and counts["requests"] < max_requests:
            progress.checkpoint()
            counts["requests"] += 1
            counts += _verify(client, items)
            counts["checked"] += len(items)
            progress.report(counts["checked"], total, _("verifying stored content"))
            items = _least_recently_checked(started_at)
    text = _("%(checked)d items verified: %(gone)d deleted or removed, %(missing)d missing, %(restored)d restored.")
    gone = counts["deleted"] + counts["removed"] + counts["account_deleted"] + counts["tombstoned"]
    words = {"checked": counts["checked"], "gone": gone}
    progress.log(text % words | {"missing": counts["missing"], "restored": counts["restored"]})
    return _all_counts(counts)


_COUNTED: Final = (
    "requests",
    "checked",
    "unchanged",
    "updated",
    "deleted",
    "removed",
    "account_deleted",
    "restored",
    "missing",
    "tombstoned",
    "unreadable",
)


def _all_counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in _COUNTED}


def _config_with_app() -> BotConfig | None:
    """Return None for the environment's app or, where there is none, an active config that has an app."""
    if environment_credentials() is not None:
        return None
    return BotConfig.objects.select_related("app").filter(is_active=True, app__isnull=False).order_by("pk").first()


def _least_recently_checked(before: datetime) -> list[Item]:
    """Return up to one request of items not verified since ``before``, those never verified first."""
    items: list[Item] = []
    for model in (RedditPost, RedditComment):
        # Two queries, because an index of PostgreSQL sorts nulls last.
        never = list(model._default_manager.filter(checked_at__isnull=True)[:INFO_SIZE])
        items += never
        items += model._default_manager.filter(checked_at__lt=before).order_by("checked_at")[
            : INFO_SIZE - len(never)
        ]
    never_first = [item for item in items if item.checked_at is None]
    return (never_first + sorted((i for i in items if i.checked_at), key=attrgetter("checked_at")))[:INFO_SIZE]


def _verify(client: RedditClient, items: list[Item]) -> Counter[str]:
    """Ask for the items, save what Reddit says, and return what happened to them."""
    page = client.info([item.fullname for item in items])
    answers = {str(data.get("name")): data for data in (*page.posts, *page.comments)}
    now = timezone.now()
    counts: Counter[str] = Counter()
    changed: dict[type[Item], list[Item]] = {RedditPost: [], RedditComment: []}
    ...
    return counts
