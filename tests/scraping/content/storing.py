"""Storing single raw posts."""

from datetime import UTC, datetime
from typing import Any

from scraping.content.storage import Stored, store_posts
from scraping.models import RedditPost, ScrapeSession

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def store(*items: dict[str, Any], session: ScrapeSession | None = None, at: datetime = NOON) -> Stored:
    return store_posts(items, session=session, seen_at=at)


def stored(raw: dict[str, Any]) -> RedditPost:
    store(raw)
    return RedditPost.objects.get(fullname=raw["name"])
