"""The number of days for which a job keeps rows: in general, and for single subreddits and bots."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from database.names import folded
from maintenance.models import RetentionOverride, RetentionPolicy


@dataclass(frozen=True)
class Retention:
    """How many days a job keeps rows, and which subreddits and bots have overrides (rows, perhaps unsaved)."""

    days: int
    overrides: tuple[RetentionOverride, ...] = ()
    # Whether a post is as old as its newest comment.
    keeps_live_threads: bool = False

    @property
    def all_days(self) -> set[int]:
        """Every number of days that occurs."""
        return {self.days, *(override.days for override in self.overrides)}

    def days_by_target(self) -> dict[tuple[str, int | None] | None, int]:
        """Return the overrides' days by subreddit (folded) and bot; the key None is everything else."""
        return {
            None: self.days,
            **{(folded(row.subreddit), row.config_id): row.days for row in self.overrides},
        }

    def deletes_nothing_beyond(self, other: "Retention") -> bool:
        """Whether it surely deletes no row that ``other`` keeps; False if that takes a look at the rows.

        Only two retentions with the same overrides can be compared by their days: of two that match, the longer
        decides.
        """
        mine, theirs = self.days_by_target(), other.days_by_target()
        return (
            mine.keys() == theirs.keys()
            and all(days >= theirs[target] for target, days in mine.items())
            and self.keeps_live_threads == other.keeps_live_threads
        )

    def as_json(self) -> dict[str, Any]:
        """Return what an event stores of it; equal retentions give equal values."""
        return {
            "days": self.days,
            "overrides": {_target(row): row.days for row in self._in_order()},
            **({"keeps_live_threads": True} if self.keeps_live_threads else {}),
        }

    def key(self) -> str:
        """Return a text that is the same for two retentions only if they are equal; ``from_key`` reads it."""
        rows = [[folded(row.subreddit), row.config_id, row.days] for row in self._in_order()]
        # A third part only where it is needed, so that older keys, which have two parts, stay equal.
        return json.dumps([self.days, rows, *([True] if self.keeps_live_threads else [])])

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Return the retention of a ``key``."""
        days, rows, *more = json.loads(key)
        overrides = (RetentionOverride(subreddit=row[0], config_id=row[1], days=row[2]) for row in rows)
        return cls(days, tuple(overrides), keeps_live_threads=bool(more and more[0]))

    def _in_order(self) -> list[RetentionOverride]:
        return sorted(self.overrides, key=lambda row: (folded(row.subreddit), row.config_id or 0))


def _target(row: RetentionOverride) -> str:
    return f"{row} #{row.config_id}" if row.config_id else str(row)  # two owners may have bots of one name


def range_between(by: str, now: datetime, *retentions: Retention) -> Mapping[str, datetime]:
    """Return a condition on the time field ``by`` that holds for all rows that the retentions may treat differently."""
    days = {number for retention in retentions for number in retention.all_days}
    until = {f"{by}__lt": now - timedelta(days=min(days))}
    if any(retention.keeps_live_threads for retention in retentions):
        return until  # a thread may be alive, whatever its age
    return {f"{by}__gte": now - timedelta(days=max(days)), **until}


def stored_retention(
    job: str, *, default: int, has_overrides: bool, has_live_threads: bool = False
) -> Retention:
    """Return the stored retention of a job, in one query; a purge asks before each batch."""
    rows = list(
        RetentionPolicy.objects.filter(job=job).values_list(
            "days", "keeps_live_threads", "overrides__subreddit", "overrides__config_id", "overrides__days"
        )
    )
    if not rows:
        return Retention(default)
    overrides = (
        RetentionOverride(subreddit=subreddit, config_id=config, days=days)
        for _days, _keeps, subreddit, config, days in rows
        if days is not None and has_overrides
    )
    return Retention(rows[0][0], tuple(overrides), keeps_live_threads=has_live_threads and rows[0][1])
