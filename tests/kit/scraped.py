"""Raw items as Reddit sends them, and rows as a scrape stores them; a test sets only the fields that it is about."""

import itertools
from datetime import UTC, datetime
from typing import Any

from scraping.models import BotConfig, RedditComment, RedditPost, ScrapeSession
from tests.kit import factories

_numbers = itertools.count(1)
CREATED = 1_700_000_000.0

Raw = dict[str, Any]


def _id36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text or "0"


def raw_post(**fields: Any) -> Raw:
    """Return the data of a t3 with the keys that every recorded post has."""
    id36 = fields.pop("id", None) or _id36(60_466_176 + next(_numbers))
    return {
        "id": id36,
        "name": f"t3_{id36}",
        "subreddit": "python",
        "author": "somebody",
        "author_fullname": "t2_abc",
        "title": "A title",
        "selftext": "A text",
        "url": f"https://www.reddit.com/r/python/comments/{id36}/a_title/",
        "permalink": f"/r/python/comments/{id36}/a_title/",
        "domain": "self.python",
        "created_utc": CREATED,
        "edited": False,
        "score": 1,
        "num_comments": 0,
        "is_self": True,
        "over_18": False,
        "stickied": False,
        "distinguished": None,
        "link_flair_text": None,
        "removed_by_category": None,
        "is_robot_indexable": True,
    } | fields


def raw_comment(post: Raw, **fields: Any) -> Raw:
    """Return the data of a t1, a comment on a raw post."""
    id36 = fields.pop("id", None) or _id36(60_466_176 + next(_numbers))
    return {
        "id": id36,
        "name": f"t1_{id36}",
        "link_id": post["name"],
        "parent_id": post["name"],
        "author": "somebody",
        "author_fullname": "t2_abc",
        "body": "A comment",
        "created_utc": CREATED,
        "edited": False,
        "score": 1,
        "score_hidden": False,
        "stickied": False,
        "distinguished": None,
        "replies": "",
    } | fields


def make_config(**fields: Any) -> BotConfig:
    """Store a bot config that fetches no comments."""
    return factories.bot_config(**{"comment_policy": "none"} | fields)


def make_session(config: BotConfig, **fields: Any) -> ScrapeSession:
    """Store a session of a config, running unless a field says otherwise."""
    return factories.session(config=config, **{"status": "running"} | fields)


def make_post(**fields: Any) -> RedditPost:
    """Store a post."""
    raw = raw_post()
    values = {
        "fullname": raw["name"],
        "subreddit": "python",
        "title": "A title",
        "body": "A text",
        "url": raw["url"],
        "permalink": raw["permalink"],
        "author": "somebody",
        "author_fullname": "t2_abc",
        "created_at": datetime.fromtimestamp(CREATED, UTC),
    }
    return RedditPost.objects.create(**values | fields)


def make_comment(post: RedditPost, **fields: Any) -> RedditComment:
    """Store a comment."""
    values = {
        "fullname": f"t1_{_id36(60_466_176 + next(_numbers))}",
        "post": post,
        "parent_fullname": post.fullname,
        "body": "A comment",
        "author": "somebody",
        "author_fullname": "t2_abc",
        "created_at": post.created_at,
    }
    return RedditComment.objects.create(**values | fields)
