"""Stored items, and the data of them in the replayed Reddit."""

from datetime import UTC, datetime
from typing import Any

from scraping.compliance.sweep import refresh_stored_content
from scraping.content.normalise import BLANK_POST
from scraping.models import RedditContent, RedditPost
from scraping.progress import SilentProgress
from tests.kit.scraped import make_post, raw_comment, raw_post
from tests.scraping.reddit_replay import RedditReplay

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def refresh(**limits: Any) -> dict[str, int]:
    counts = refresh_stored_content(SilentProgress(), **limits).counts
    return {name: count for name, count in counts.items() if count}


def known(reddit: RedditReplay, item: RedditContent, **changes: Any) -> None:
    """Let /api/info return the item as stored, with the changes."""
    raw = (
        raw_post(id=item.id36)
        if isinstance(item, RedditPost)
        else raw_comment({"name": item.post.fullname}, id=item.id36)  # type: ignore[attr-defined]  # a RedditComment
    )
    reddit.known[item.fullname] = raw | changes


def shown(reddit: RedditReplay, number: int = 1, **fields: Any) -> list[RedditPost]:
    """Store posts that Reddit shows, because an answer without any shown item proves nothing."""
    posts = [make_post(**fields) for _ in range(number)]
    for post in posts:
        known(reddit, post)
    return posts


def content(item: RedditContent) -> list[Any]:
    item.refresh_from_db()
    if isinstance(item, RedditPost):
        return [getattr(item, name) for name in BLANK_POST]
    return [item.body]


def make_full_post(**fields: Any) -> RedditPost:
    values = {
        "domain": "a.b",
        "flair": "news",
        "media": {"thumbnail": "https://a.b/c"},
        "gallery": [{"id": "x", "url": "https://a.b/d", "caption": "", "link": ""}],
        "poll": {"options": [{"text": "Yes", "votes": 1}], "votes": 1, "ends_at": None},
        "crosspost_parent": "t3_parent",
        "crosspost_body": "A text that was passed on",
    }
    return make_post(**values | fields)
