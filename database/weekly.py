"""When a weekly window is open: wall-clock times in a zone, also across midnight and at changes of clocks.

An occurrence is one unbroken stretch. It begins when the clock of the zone first reaches the beginning (or jumps over
it), and ends when it shows the end for the last time (or jumps over it). So at the end of summer time a window may last
an hour longer, and one that lies within the hour that is left out in spring does not happen that week.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
# A window whose every occurrence is empty does not exist; a year of them is enough to tell.
DAYS_MAX = 400


@dataclass(frozen=True)
class Weekly:
    """A window of every week; it begins on these weekdays (Monday 0)."""

    weekdays: frozenset[int]
    begins: time
    # Not later than the beginning: on the next day.
    ends: time
    zone: tzinfo

    def on(self, day: date) -> tuple[datetime, datetime] | None:
        """Return the beginning and the end (exclusive), in UTC, of the occurrence that begins on this day; or None."""
        return _on(self, day) if day.weekday() in self.weekdays else None

    def at(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """Return the occurrence that contains the moment."""
        day = moment.astimezone(self.zone).date()
        # The next day too: a clock that is set back at midnight shows the day before once more.
        found = (self.on(day + days * DAY) for days in (-1, 0, 1))
        return next((span for span in found if span is not None and span[0] <= moment < span[1]), None)

    def after(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the occurrences that end after the moment, ascending, in UTC; endless unless it has none in a year."""
        day, latest = moment.astimezone(self.zone).date() - DAY, 0
        while latest < DAYS_MAX and day < date.max - DAY:
            span = self.on(day)
            latest += 1
            if span is not None and span[1] > moment:
                yield span
                latest = 0
            day += DAY


@lru_cache(maxsize=10_000)
def _on(weekly: Weekly, day: date) -> tuple[datetime, datetime] | None:
    last_day = day if weekly.ends > weekly.begins else day + DAY
    start = first_reached(datetime.combine(day, weekly.begins), weekly.zone)
    end = last_shown(datetime.combine(last_day, weekly.ends), weekly.zone)
    return (start, end) if start < end else None


def first_reached(wall: datetime, zone: tzinfo) -> datetime:
    """Return the first moment, in UTC, at which the zone's clock shows this time or a later one."""
    first, second = _both(wall, zone)
    return _jump(second, first, zone) if first > second else first


def last_shown(wall: datetime, zone: tzinfo) -> datetime:
    """Return the last moment, in UTC, at which the zone's clock shows this time; the jump over it, if there is one."""
    first, second = _both(wall, zone)
    return _jump(second, first, zone) if first > second else second


def _both(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return both moments of a wall-clock time: ascending where it comes twice, descending where it is left out."""
    local = wall.replace(tzinfo=zone, fold=0)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _jump(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return the moment, to the second, between these two at which the clock jumps forward."""
    offset = low.astimezone(zone).utcoffset()
    while high - low > SECOND:
        middle = low + (high - low) / 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
    # A change is at a whole second; the search ends less than one second after it.
    return high.replace(microsecond=0)
