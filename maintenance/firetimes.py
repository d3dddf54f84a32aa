"""When a schedule fires: the one answer that beat, previews, timelines and misfires share.

Crontab times are wall-clock times in the schedule's zone, yielded in UTC. Celery's crontab semantics hold:
day-of-month and day-of-week must both match (Unix cron takes either). At a change of clocks:

- a time in the gap fires once, as much after the gap as it lay inside (02:30 fires at 03:30), and where another
  slot is then due already the two are one;
- a time in the overlap fires once, at its first occurrence;
- but a schedule for every hour fires every real hour, so also in the overlap's second hour, which
  Celery's own crontab loses.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import MAXYEAR, UTC, date, datetime, timedelta, tzinfo
from functools import cached_property, lru_cache
from heapq import heappop, heappush
from itertools import count

from celery.schedules import ParseException, crontab_parser
from cron_descriptor import ExpressionDescriptor, Options
from django.utils import dates, translation
from django.utils.translation import gettext as _

# Given up without a match. The rarest date, 29 February on one weekday, comes at the latest after 40 years.
HORIZON_YEARS = 50


class InvalidCrontab(ValueError):
    """A crontab field that cannot be used.

    ``field`` is its name, such as ``day_of_week``; ``message`` says what is wrong and what to write instead.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


# --- Schedules -------------------------------------------------------------------------------

# The first and the last number of each field, in the order in which they are written.
_BOUNDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day_of_month": (1, 31),
    "month_of_year": (1, 12),
    "day_of_week": (0, 6),
}
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
# Celery takes them in every field, and reads the minute "mon" as 1.
_NAMES = {
    "month_of_year": {name: number for number, name in enumerate(_MONTHS, start=1)},
    "day_of_week": {name: number for number, name in enumerate(_WEEKDAYS)},
}
# Days that a month has in some year.
_LONGEST = {month: calendar.monthrange(2024, month)[1] for month in range(1, 13)}


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
        """Return the crontab of "minute hour day-of-month month day-of-week".

        Raises:
            InvalidCrontab: there are not five fields. What they hold is for ``validate()``.
        """
        parts = text.split()
        if len(parts) != len(_BOUNDS):
            raise InvalidCrontab(
                "minute",
                _(
                    "“%(text)s” has %(number)s fields: write minute, hour, day of month, month and day of week."
                )
                % {"text": text, "number": len(parts)},
            )
        return cls(*parts)

    def __str__(self) -> str:
        return " ".join(getattr(self, field.name) for field in fields(self))

    @cached_property
    def matches(self) -> dict[str, tuple[int, ...]]:
        """The numbers that each field matches, ascending, as Celery expands it.

        Raises:
            InvalidCrontab: Celery could not.
        """
        return {name: _expand(name, getattr(self, name)) for name in _BOUNDS}

    @property
    def needs_both_days(self) -> bool:
        """Whether day of month and day of week are both restricted: Unix cron would fire on either."""
        return len(self.matches["day_of_month"]) < 31 and len(self.matches["day_of_week"]) < 7

    def validate(self) -> None:
        """Refuse what an operator cannot have meant; stricter than Celery, which ignores trailing garbage.

        Raises:
            InvalidCrontab: for the first field that is wrong.
        """
        for name in _BOUNDS:
            _check(name, getattr(self, name))
        longest = max(_LONGEST[month] for month in self.matches["month_of_year"])
        if self.matches["day_of_month"][0] > longest:
            raise InvalidCrontab(
                "day_of_month",
                _("No month of this schedule has such a day: choose a day up to %(last)s, or another month.")
                % {"last": longest},
            )


@dataclass(frozen=True)
class Interval:
    """Every so often, counted in real time from an anchor, which is a slot itself."""

    every: timedelta
    anchor: datetime

    def __post_init__(self) -> None:
        if self.every <= timedelta(0):
            raise ValueError(f"An interval of {self.every} never moves on: make it longer than zero.")


@dataclass(frozen=True)
class Once:
    """One moment."""

    at: datetime


Schedule = Crontab | Interval | Once


@lru_cache(maxsize=4096)
def _expand(name: str, text: str) -> tuple[int, ...]:
    first, last = _BOUNDS[name]
    try:
        return tuple(sorted(crontab_parser(last - first + 1, first).parse(text)))
    except (ParseException, ValueError, IndexError) as error:
        raise InvalidCrontab(name, str(error)) from None


def _check(name: str, text: str) -> None:
    """Raise InvalidCrontab unless the field is "*", "*/2", "1", "1-5", "1-5/2", or a list of these."""
    if not text.strip():
        raise InvalidCrontab(name, _("This field is empty: write * where every value will do."))
    if text != "".join(text.split()):
        raise InvalidCrontab(name, _("Leave out the spaces: a list is written 1,2,3."))
    for part in text.split(","):
        if not part:
            raise InvalidCrontab(name, _("There is a comma too many: a list is written 1,2,3."))
        _check_part(name, part)
    # What is left for Celery to refuse.
    _expand(name, text)


def _check_part(name: str, part: str) -> None:
    body, slash, step = part.partition("/")
    ends = [] if body == "*" else [_number(name, end, part) for end in body.split("-")]
    for number in ends:
        _check_bounds(name, number)
    if len(ends) > 2:
        raise _not_understood(name, part)
    if not slash:
        return
    if len(ends) == 1:
        raise InvalidCrontab(
            name,
            _("A step needs a range before it: write %(range)s instead of %(part)s.")
            % {"range": f"{body}-{_BOUNDS[name][1]}/{step}", "part": part},
        )
    if _number(name, step, part) < 1:
        raise InvalidCrontab(name, _("A step of 0 never moves on: use 1 or more."))


def _check_bounds(name: str, number: int) -> None:
    first, last = _BOUNDS[name]
    if name == "day_of_week" and number == 7:
        raise InvalidCrontab(name, _("There is no day 7: Sunday is 0, Saturday is 6."))
    if not first <= number <= last:
        raise InvalidCrontab(
            name,
            _("%(number)s is out of range: use %(first)s to %(last)s.")
            % {"number": number, "first": first, "last": last},
        )


def _number(name: str, text: str, part: str) -> int:
    for known, number in _NAMES.get(name, {}).items():
        if len(text) >= 3 and known.startswith(text.lower()):
            return number
    # Not int() alone: it takes "1_0" and the digits of every script.
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise _not_understood(name, part)
    return int(text)


def _not_understood(name: str, part: str) -> InvalidCrontab:
    first, last = _BOUNDS[name]
    return InvalidCrontab(
        name,
        _(
            "“%(part)s” is not understood: use *, numbers from %(first)s to %(last)s, ranges (1-5), steps (*/2) and lists (1,3)."
        )
        % {"part": part, "first": first, "last": last},
    )


# --- Fire times ------------------------------------------------------------------------------


def fire_times(
    schedule: Schedule, *, after: datetime, until: datetime | None = None, timezone: tzinfo
) -> Iterator[datetime]:
    """Yield the fire times after ``after`` (exclusive) up to ``until`` (inclusive), ascending, in UTC.

    Lazy; endless without ``until``, except that a crontab ends after 50 years without a match. Both limits must
    be aware. Only a crontab asks for the timezone.

    Raises:
        InvalidCrontab: at the first value, for a field that Celery refuses.
    """
    after = after.astimezone(UTC)
    match schedule:
        case Crontab():
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
    return (anchor + number * schedule.every for number in count(passed))


def _crontab_times(crontab: Crontab, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield all fire times after ``after``, and perhaps some before it."""
    every_hour = len(crontab.matches["hour"]) == 24
    # Times that a change of clocks moves behind later wall-clock times; all others ascend by themselves.
    moved: list[datetime] = []
    for wall in _wall_times(crontab, _earliest_wall_time(after, zone)):
        local = wall.replace(tzinfo=zone)
        first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
        # All that follow are later than this.
        while moved and moved[0] < min(first, second):
            yield heappop(moved)
        if first > second:  # in a gap
            heappush(moved, first)
            continue
        if moved and moved[0] == first:
            heappop(moved)
        yield first
        if every_hour and first < second:  # in an overlap
            heappush(moved, second)
    yield from sorted(moved)


def _earliest_wall_time(after: datetime, zone: tzinfo) -> datetime:
    """Return a wall-clock time before that of every fire time after ``after``.

    Near a change of clocks, which sets them by a day at most (the date line), that is not the wall-clock time
    of ``after`` itself.
    """
    days = (timedelta(days=days) for days in (-1, 0, 1))
    return min((after + day).astimezone(zone).replace(tzinfo=None) - day for day in days)


def _wall_times(crontab: Crontab, start: datetime) -> Iterator[datetime]:
    """Yield the naive wall-clock times that match, ascending, from ``start`` on."""
    hours, minutes = crontab.matches["hour"], crontab.matches["minute"]
    for day in _days(crontab, start.date()):
        for hour in hours:
            if day == start.date() and hour < start.hour:
                continue
            for minute in minutes:
                wall = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - a wall clock
                if wall >= start:
                    yield wall


def _days(crontab: Crontab, first: date) -> Iterator[date]:
    """Yield the days that match, from ``first`` on, until none has for 50 years."""
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


# --- Words -----------------------------------------------------------------------------------


def describe(crontab: Crontab, language: str) -> str:
    """Return the crontab as a sentence in the language ("en", "zh-hans"), with a 24-hour clock.

    Raises:
        InvalidCrontab: for a field that Celery refuses.
    """
    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = "zh_CN" if language.startswith("zh") else "en_US"
    plain = " ".join(_plain(name, getattr(crontab, name), crontab.matches[name]) for name in _BOUNDS)
    sentence = str(ExpressionDescriptor(plain, options).get_description())
    # The library leaves these in the language of the process's locale.
    with translation.override(language):
        for number, month in dates.MONTHS.items():
            sentence = sentence.replace(calendar.month_name[number], str(month))
        for number, weekday in dates.WEEKDAYS.items():
            sentence = sentence.replace(calendar.day_name[number], str(weekday))
    return sentence


# A step with fewer matches than this is told by them: "*/20" of the day of month is days 1 and 21.
_STEP_MATCHES_MIN = 7


def _plain(name: str, text: str, matches: tuple[int, ...]) -> str:
    """Return the field as the library understands it, else as a list of its numbers.

    It stumbles over names in full, steps inside lists and steps of weekdays, and calls "*/90" every 90 minutes.
    """
    first, last = _BOUNDS[name]
    if len(matches) > last - first:
        return "*"
    text = text.strip().lower()
    for known, number in _NAMES.get(name, {}).items():
        text = re.sub(rf"{known[:3]}[a-z]*", str(number), text)
    if re.fullmatch(r"[0-9,-]+", text):
        return text
    step = re.fullmatch(r"(\*|[0-9-]+)/([0-9]+)", text)
    if step and name not in _NAMES:
        is_even = step[1] == "*" and (last - first + 1) % int(step[2]) == 0
        if is_even or len(matches) >= _STEP_MATCHES_MIN:
            return text
    return ",".join(map(str, matches))
