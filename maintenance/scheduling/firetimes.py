"""Computes when a schedule fires, for beat, previews, timelines and misfires alike.

Crontab times are wall-clock times in the schedule's zone, yielded in UTC. Celery's crontab semantics hold:
day-of-month and day-of-week must both match (for Unix cron, one of them is enough). At a change of clocks:

- a time in the gap fires once, as long after the gap's end as it lies after its beginning (02:30 fires at 03:30); if
  that is also a slot, the two are one;
- a time in the overlap fires at both of its occurrences where the hour field contains its hour and at least one
  hour next to it (``*``, ``1-6``; 23 and 0 are next to each other): such a schedule means every hour of a span, and
  Celery's own crontab would leave out one real hour;
- a time in the overlap whose hour stands by itself (``0,30 2 * * *``) fires once, at its first occurrence.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta, tzinfo
from heapq import heappop, heappush
from itertools import count

from database.messages import gettext as _
from maintenance.scheduling.crontab import Crontab, InvalidCrontab, InvalidSchedule, describe

__all__ = [
    "ClockChange",
    "Crontab",
    "Interval",
    "InvalidCrontab",
    "InvalidSchedule",
    "Once",
    "Schedule",
    "clock_changes",
    "describe",
    "fire_times",
]

# The search ends after this many years. The rarest date, 29 February on one weekday, comes within 40 years.
HORIZON_YEARS = 50


@dataclass(frozen=True)
class Interval:
    """A fixed interval in real time, counted from an anchor, which is a slot itself."""

    every: timedelta
    anchor: datetime

    def __post_init__(self) -> None:
        if self.every <= timedelta(0):
            raise InvalidSchedule(
                _("An interval of %(every)s never moves on: make it longer than zero.")
                % {"every": self.every}
            )


@dataclass(frozen=True)
class Once:
    """A single moment."""

    at: datetime


Schedule = Crontab | Interval | Once


# --- Fire times ------------------------------------------------------------------------------


def fire_times(
    schedule: Schedule, *, after: datetime, until: datetime | None = None, timezone: tzinfo
) -> Iterator[datetime]:
    """Yield the fire times after ``after`` (exclusive) up to ``until`` (inclusive), ascending, in UTC.

    Lazy; endless without ``until``, except that a crontab ends after 50 years without a match. Both limits must
    be aware. Only a crontab asks for the timezone.

    Raises:
        InvalidCrontab: at the first value, for whatever ``Crontab.validate()`` refuses.
    """
    after = after.astimezone(UTC)
    match schedule:
        case Crontab():
            schedule.validate()
            times = _crontab_times(schedule, after, timezone)
        case Interval():
            times = _interval_times(schedule, after)
        case Once():
            times = iter([schedule.at.astimezone(UTC)])
    for time in times:
        if until is not None and time > until:
            return
        if time > after:
            yield time


def _interval_times(schedule: Interval, after: datetime) -> Iterator[datetime]:
    # In UTC: Python subtracts two times of one zone by their wall clocks.
    anchor = schedule.anchor.astimezone(UTC)
    passed = max(0, (after - anchor) // schedule.every)
    try:
        for number in count(passed):
            yield anchor + number * schedule.every
    except OverflowError:  # beyond the year 9999
        return


def _crontab_times(crontab: Crontab, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield all fire times after ``after``, and perhaps some before it."""
    repeated = _repeated_hours(crontab)
    # Times that a change of clocks moves behind later wall-clock times; all others are ascending anyway.
    moved: list[datetime] = []
    for walls in _wall_hours(crontab, _earliest_wall_time(after, zone)):
        if len(walls) > 2 and not moved and (offset := _offset_of(walls, zone)) is not None:
            # As below, without asking the zone for each minute.
            start = walls[0].replace(tzinfo=UTC) - offset
            for wall in walls:
                yield start + (wall - walls[0])
            continue
        for wall in walls:
            local = wall.replace(tzinfo=zone)
            first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
            # All following times are later than this.
            while moved and moved[0] < min(first, second):
                yield heappop(moved)
            if first > second:  # in a gap
                heappush(moved, first)
                continue
            if moved and moved[0] == first:
                heappop(moved)
            yield first
            if first < second and wall.hour in repeated:  # in an overlap
                heappush(moved, second)
    yield from sorted(moved)


def _offset_of(walls: list[datetime], zone: tzinfo) -> timedelta | None:
    """Return the offset of the wall-clock times of one hour; None: the clocks may change in it, or near it.

    No zone's clocks change twice within an hour.
    """
    locals_ = [wall.replace(tzinfo=zone, fold=fold) for wall in (walls[0], walls[-1]) for fold in (0, 1)]
    offsets = {local.utcoffset() for local in locals_}
    return offsets.pop() if len(offsets) == 1 else None


def _repeated_hours(crontab: Crontab) -> frozenset[int]:
    """Return the hours whose neighbour is also in the schedule: they run twice where clocks show them twice."""
    hours = frozenset(crontab.matches["hour"])
    return frozenset(hour for hour in hours if {(hour - 1) % 24, (hour + 1) % 24} & hours)


def _earliest_wall_time(after: datetime, zone: tzinfo) -> datetime:
    """Return a wall-clock time that is earlier than every fire time after ``after``.

    Near a change of clocks, which is a day at most (the date line), that is not the wall-clock time of ``after``
    itself.
    """
    days = (timedelta(days=days) for days in (-1, 0, 1))
    return min((after + day).astimezone(zone).replace(tzinfo=None) - day for day in days)


def _wall_times(crontab: Crontab, start: datetime) -> Iterator[datetime]:
    """Yield the naive wall-clock times that match, ascending, from ``start`` on."""
    for walls in _wall_hours(crontab, start):
        yield from walls


def _wall_hours(crontab: Crontab, start: datetime) -> Iterator[list[datetime]]:
    """Yield the naive wall-clock times that match, those of one hour together, ascending, from ``start`` on."""
    hours = crontab.matches["hour"]
    minutes = [timedelta(minutes=minute) for minute in crontab.matches["minute"]]
    for day in _days(crontab, start.date()):
        for hour in hours:
            if day == start.date() and hour < start.hour:
                continue
            at = datetime(day.year, day.month, day.day, hour)  # noqa: DTZ001 - a wall clock
            walls = [wall for minute in minutes if (wall := at + minute) >= start]
            if walls:
                yield walls


def _days(crontab: Crontab, first: date) -> Iterator[date]:
    """Yield the days that match, from ``first`` on, until 50 years pass without a match."""
    matches = crontab.matches
    weekdays = frozenset(matches["day_of_week"])
    year = latest = first.year
    while year <= min(latest + HORIZON_YEARS, MAXYEAR - 1):
        for month in matches["month_of_year"]:
            if (year, month) < (first.year, first.month):
                continue
            weekday_of_1st, length = calendar.monthrange(year, month)  # Monday is 0
            for day in matches["day_of_month"]:
                if day > length:
                    break
                # Celery counts from Sunday.
                if (weekday_of_1st + day) % 7 in weekdays and (found := date(year, month, day)) >= first:
                    yield found
                    latest = year
        year += 1


# --- Changes of clocks -----------------------------------------------------------------------


@dataclass(frozen=True)
class ClockChange:
    """A change of clocks that moves or repeats times of a crontab."""

    at: datetime  # in UTC
    # The wall-clock times that occur twice or never: from the first (inclusive) to the last (exclusive).
    first: datetime
    last: datetime
    is_back: bool
    # Whether the crontab's times in between run at both of their occurrences.
    runs_twice: bool


def clock_changes(crontab: Crontab, *, after: datetime, zone: tzinfo, days: int = 366) -> list[ClockChange]:
    """Return the coming changes of clocks that affect the crontab: one of its times occurs twice, or never.

    Raises:
        InvalidCrontab.
    """
    crontab.validate()
    found = []
    for at in _changes(after.astimezone(UTC), zone, days):
        before = (at - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None) + timedelta(seconds=1)
        since = at.astimezone(zone).replace(tzinfo=None)
        first, last = min(before, since), max(before, since)
        walls = list(_wall_times_until(crontab, first, last))
        if walls:
            repeated = _repeated_hours(crontab)
            twice = since < before and any(wall.hour in repeated for wall in walls)
            found.append(ClockChange(at, first, last, is_back=since < before, runs_twice=twice))
    return found


def _wall_times_until(crontab: Crontab, first: datetime, last: datetime) -> Iterator[datetime]:
    for wall in _wall_times(crontab, first):
        if wall >= last:
            return
        yield wall


def _changes(after: datetime, zone: tzinfo, days: int) -> Iterator[datetime]:
    """Yield the moments, to the second, at which the zone's clocks change; two on one day count as one."""
    for day in range(days):
        low, high = after + timedelta(days=day), after + timedelta(days=day + 1)
        offset = low.astimezone(zone).utcoffset()
        if high.astimezone(zone).utcoffset() == offset:
            continue
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
        # A change is at a whole second; the search ends less than one second after it.
        yield high.replace(microsecond=0)
