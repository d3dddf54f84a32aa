"""When a schedule fires: the one answer that beat, previews, timelines and misfires share.

Times are wall-clock in the schedule's zone, yielded in UTC. Celery's crontab semantics hold: day-of-month and
day-of-week must both match (Unix cron takes either). At a change of clocks:

- a time in the gap fires once, as much after the gap as it lay inside (02:30 fires at 03:30);
- a time in the overlap fires once, at its first occurrence;
- but a schedule for every hour fires every real hour, so also in the overlap's second hour, which
  Celery's own crontab loses.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property

from celery.schedules import ParseException, crontab_parser
from cron_descriptor import ExpressionDescriptor, Options

# The rarest date, 29 February on one weekday, comes at the latest after 40 years.
HORIZON = timedelta(days=366 * 50)


class InvalidCrontab(ValueError):
    """A crontab field that Celery would refuse or that can never match; names the field and the remedy."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


_RANGES = {
    "minute": (60, 0),
    "hour": (24, 0),
    "day_of_month": (31, 1),
    "month_of_year": (12, 1),
    "day_of_week": (7, 0),
}


@dataclass(frozen=True)
class Crontab:
    """Celery's five crontab fields, as written."""

    minute: str = "*"
    hour: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    day_of_week: str = "*"

    @classmethod
    def parse(cls, text: str) -> "Crontab":
        """Return the crontab of "minute hour day-of-month month day-of-week"."""
        parts = text.split()
        if len(parts) != 5:
            raise InvalidCrontab("minute", f"{text!r} has {len(parts)} fields; a crontab has five.")
        return cls(*parts)

    def __str__(self) -> str:
        return " ".join(getattr(self, field.name) for field in fields(self))

    @cached_property
    def matches(self) -> dict[str, frozenset[int]]:
        """The numbers each field matches; raises InvalidCrontab."""
        return {name: self._expand(name) for name in _RANGES}

    def _expand(self, name: str) -> frozenset[int]:
        size, first = _RANGES[name]
        text = getattr(self, name).strip()
        try:
            return frozenset(crontab_parser(size, first).parse(text))
        except (ParseException, ValueError) as error:
            raise InvalidCrontab(name, str(error)) from None

    def validate(self) -> None:
        """Raise InvalidCrontab unless every field is good and some day of some year matches."""
        days, months = self.matches["day_of_month"], self.matches["month_of_year"]
        if not any(day <= monthrange(2024, month)[1] for day in days for month in months):
            raise InvalidCrontab("day_of_month", "No month of this schedule has such a day.")


@dataclass(frozen=True)
class Interval:
    """Every so often, counted from an anchor."""

    every: timedelta
    anchor: datetime


@dataclass(frozen=True)
class Once:
    """One moment."""

    at: datetime


def fire_times(
    schedule: Crontab | Interval | Once, *, after: datetime, until: datetime | None = None, timezone: tzinfo
) -> Iterator[datetime]:
    """Yield the fire times after ``after`` (exclusive) up to ``until`` (inclusive), ascending, in UTC."""
    if isinstance(schedule, Once):
        times = iter([schedule.at] if schedule.at > after else [])
    elif isinstance(schedule, Interval):
        times = _interval(schedule, after)
    else:
        times = _crontab(schedule, after, timezone)
    for time in times:
        if until is not None and time > until:
            return
        yield time.astimezone(UTC)


def _interval(schedule: Interval, after: datetime) -> Iterator[datetime]:
    passed = max(0, (after - schedule.anchor) // schedule.every)
    time = schedule.anchor + passed * schedule.every
    while True:
        time += schedule.every
        if time > after:
            yield time


def _crontab(crontab: Crontab, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    matches = crontab.matches
    hourly = len(matches["hour"]) == 24
    minutes = sorted(matches["minute"])
    seen = after
    for day in _days(crontab, after.astimezone(zone).date() - timedelta(days=1)):
        times = set()
        for hour in sorted(matches["hour"]):
            for minute in minutes:
                wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                times.add(wall.astimezone(UTC))
                if hourly:
                    times.add(wall.replace(fold=1).astimezone(UTC))
        for time in sorted(times):
            if time > seen:
                seen = time
                yield time


def _days(crontab: Crontab, first: date) -> Iterator[date]:
    matches = crontab.matches
    last = first + HORIZON
    day = first
    while day <= last:
        if day.month not in matches["month_of_year"]:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            continue
        if day.day in matches["day_of_month"] and (day.weekday() + 1) % 7 in matches["day_of_week"]:
            yield day
        day += timedelta(days=1)


def describe(crontab: Crontab, language: str) -> str:
    """Return the crontab as a sentence."""
    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = "zh_CN" if language.startswith("zh") else "en_US"
    return str(ExpressionDescriptor(str(crontab), options).get_description())
