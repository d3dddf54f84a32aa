"""What one bot kept of one subreddit, hour by hour, of the last eight weeks.

Only hours that a successful listing showed wholly are known. A failed session, or a listing that did not reach back to
the previous one, leaves hours unknown: these are never taken for silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

HOURS: Final = 168
WEEKS: Final = 8
SIZE: Final = WEEKS * HOURS
# 1 January 1970 was a Thursday.
_MONDAY: Final = 3 * 24


def place_of(hour: int) -> int:
    """Return the place in the week, from Monday 0:00 UTC, of an hour since 1970."""
    return (hour + _MONDAY) % HOURS


@dataclass
class History:
    """Posts by hour of creation: ``kept`` by the bot, and ``listed`` by Reddit; None for an hour that is not known.

    Attributes:
        until: the first hour (since 1970) that is not over, or not known yet; None: nothing was ever listed.
        kept: the hours before ``until``, oldest first.
        listed: the same hours, before the filters of the bot.
    """

    until: int | None = None
    kept: list[int | None] = field(default_factory=list)
    listed: list[int | None] = field(default_factory=list)
    open_kept: int = 0
    open_listed: int = 0

    @classmethod
    def of(cls, saved: Any) -> Self:
        """Return the saved history, or an empty one."""
        if not isinstance(saved, dict) or not isinstance(saved.get("kept"), list):
            return cls()
        kept = saved["kept"]
        listed = saved.get("listed") or list(kept)
        if len(listed) != len(kept) or type(saved.get("until")) is not int:
            return cls()
        pending = saved.get("open") or [0, 0]
        return cls(saved["until"], list(kept), list(listed), *pending)

    def as_json(self) -> dict[str, Any]:
        """Return the history for the JSON column; ``listed`` is left out where no filter took a post away."""
        saved: dict[str, Any] = {
            "until": self.until,
            "kept": self.kept,
            "open": [self.open_kept, self.open_listed],
        }
        if self.listed != self.kept:
            saved["listed"] = self.listed
        return saved

    def add(
        self, listed: Mapping[int, int], kept: Mapping[int, int], *, since: int | None, current: int
    ) -> None:
        """Add the new posts of a listing, by hour since 1970.

        Args:
            listed: the posts that Reddit listed.
            kept: those of them that the bot keeps.
            since: the first hour that the listing shows wholly, if it did not reach back to the previous one.
            current: the hour of the listing, which is not over.
        """
        if since is None and self.until is not None and current < self.until:
            return  # the clock was set back: wait until it is where it was
        first = self.until if since is None else since
        if first is None:
            first = current
        if since is not None or self.until is None:
            self.open_kept = self.open_listed = 0
        first = max(first, current - SIZE)
        if self.until is not None and first > self.until:
            unknown: list[int | None] = [None] * min(first - self.until, SIZE)
            self.kept += unknown
            self.listed += unknown
        elif self.until is not None and first < self.until:
            del self.kept[first - self.until :]
            del self.listed[first - self.until :]
        for hour in range(first, current):
            is_open = hour == self.until
            self.kept.append(kept.get(hour, 0) + (self.open_kept if is_open else 0))
            self.listed.append(listed.get(hour, 0) + (self.open_listed if is_open else 0))
        still_open = current == self.until
        self.open_kept = kept.get(current, 0) + (self.open_kept if still_open else 0)
        self.open_listed = listed.get(current, 0) + (self.open_listed if still_open else 0)
        self.until = current
        del self.kept[:-SIZE], self.listed[:-SIZE]

    def forget_before(self, hour: int) -> None:
        """Forget what was before an hour."""
        assert self.until is not None
        left = max(min(self.until - hour, len(self.kept)), 0)
        del self.kept[: len(self.kept) - left], self.listed[: len(self.listed) - left]
