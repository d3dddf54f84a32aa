"""Keeps posts that a purge would delete at once from being stored, so that no scrape undoes a retention.

A higher layer knows the retention. It passes it to each scrape, and registers it for work without a run of a job: a
trial, and the verification of stored content.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from database.names import folded
from scraping.models import EXPIRED as EXPIRED
from scraping.models import RedditPost, RedditPostQuerySet


@dataclass(frozen=True)
class Cutoffs:
    """The next purge deletes posts made before these times (see ``RedditPostQuerySet.created_before``)."""

    general: datetime
    subreddits: Mapping[str, datetime] = field(default_factory=dict)
    configs: Mapping[int, datetime] = field(default_factory=dict)
    # Stored posts with younger comments stay. A post that is not stored yet has no known comments.
    keeps_live_threads: bool = False

    def of(self, subreddit: str, config_id: int | None) -> datetime:
        """Return the cutoff for a post of the subreddit that this bot finds first."""
        named = {folded(name): moment for name, moment in self.subreddits.items()}
        own = [named.get(folded(subreddit)), self.configs.get(config_id or 0)]
        return min((moment for moment in own if moment is not None), default=self.general)

    def expired(self, posts: RedditPostQuerySet) -> RedditPostQuerySet:
        """Return the posts that the next purge deletes."""
        return posts.created_before(
            self.general,
            subreddits=self.subreddits,
            configs=self.configs,
            keeps_live_threads=self.keeps_live_threads,
        ).not_held()


# Called each time, because operators edit retentions.
Source = Callable[[], Cutoffs]
_source: Source | None = None


def register_cutoffs(source: Source) -> None:
    """Register the function that returns the retention of posts."""
    global _source
    _source = source


def cutoffs_in_force() -> Cutoffs | None:
    """Return the retention of posts; None if none is registered."""
    return _source() if _source else None


def without_expired(
    rows: Sequence[dict[str, Any]], cutoffs: Cutoffs | None, *, config_id: int | None
) -> list[dict[str, Any]]:
    """Drop the rows that the next purge would delete, except those that are stored already."""
    if cutoffs is None:
        return list(rows)
    old = [row for row in rows if row["created_at"] < cutoffs.of(row["subreddit"], config_id)]
    names = [row["fullname"] for row in old]
    known = (
        set(RedditPost.objects.filter(fullname__in=names).values_list("fullname", flat=True)) if old else ()
    )
    new = {name for name in names if name not in known}
    return [row for row in rows if row["fullname"] not in new]
