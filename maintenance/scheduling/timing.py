"""Everything that decides when a schedule fires, as one value that is stored with it.

The stored value tells three things: that a schedule was edited, by whatever tool; how it fired before the edit,
so that earlier slots can still be recorded; and when it fires next, without a join.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Self
from zoneinfo import ZoneInfo

from celery.schedules import solar
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from maintenance.scheduling import firetimes
from maintenance.scheduling.firetimes import Crontab, Interval, InvalidSchedule, Once

ALMOST_A_SECOND = timedelta(microseconds=999_999)
# Celery gives up after this time, and returns the moment at which it did. Near the poles that may be too early.
LONGEST_SEARCH = timedelta(days=364)
SEARCHES_MAX = 3
# The longest interval that Python can represent; it never fires a second time.
LONGEST_INTERVAL = timedelta(days=999_999_999)
# Two times that are closer than this are one event of the sun, computed twice.
SAME_EVENT = timedelta(hours=1)


@dataclass(frozen=True)
class Timing:
    """A schedule's kind (one of ``crontab``, ``every``, ``clocked``, ``solar``), its limits, and whether it is on."""

    crontab: Crontab | None = None
    zone: str = ""  # of the crontab
    every: timedelta | None = None
    clocked: datetime | None = None
    solar: tuple[str, float, float] | None = None  # event, latitude, longitude
    start: datetime | None = None
    expires: datetime | None = None
    enabled: bool = True

    @classmethod
    def of(cls, task: PeriodicTask) -> Self:
        """Return the current timing of a schedule from its rows; never raises, whatever is stored."""
        row, sun = beside(task, "crontab"), beside(task, "solar")
        interval, clocked = beside(task, "interval"), beside(task, "clocked")
        return cls(
            crontab=_crontab_of(row) if row else None,
            zone=str(row.timezone) if row else "",
            every=_length(interval) if interval else None,
            clocked=clocked.clocked_time if clocked else None,
            solar=(sun.event, float(sun.latitude), float(sun.longitude)) if sun else None,
            start=task.start_time,
            expires=task.expires,
            enabled=task.enabled,
        )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the timing written as ``text``; None for one that cannot be read (written by another version)."""
        try:
            parts: dict[str, Any] = json.loads(text)
            if not {"crontab", "every", "clocked", "solar"} & parts.keys():
                return None
            crontab, zone = _crontab(parts.get("crontab"), parts.get("zone", ""))
            return cls(
                crontab=crontab,
                zone=zone,
                every=timedelta(seconds=parts["every"]) if "every" in parts else None,
                clocked=_moment(parts.get("clocked")),
                solar=tuple(parts["solar"]) if "solar" in parts else None,
                start=_moment(parts.get("start")),
                expires=_moment(parts.get("expires")),
                enabled=parts["enabled"],
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return None

    def __str__(self) -> str:
        parts: dict[str, Any] = {
            # One item per field: a field with a space in it, which another tool may write, would be read as two.
            "crontab": list(self.crontab.parts) if self.crontab else None,
            "zone": self.zone or None,
            "every": None if self.every is None else self.every.total_seconds(),
            "clocked": self.clocked.isoformat() if self.clocked else None,
            "solar": self.solar,
            "start": self.start.isoformat() if self.start else None,
            "expires": self.expires.isoformat() if self.expires else None,
            "enabled": self.enabled,
        }
        return json.dumps({name: value for name, value in parts.items() if value is not None})

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone in whose wall-clock time the schedule fires."""
        return ZoneInfo(self.zone or settings.TIME_ZONE)

    def fire_times(
        self, *, after: datetime, until: datetime | None = None, anchor: datetime
    ) -> Iterator[datetime]:
        """Yield the slots after ``after`` (exclusive) up to ``until`` (inclusive), ascending, in UTC.

        Whether the schedule is enabled does not matter. ``anchor`` is where an interval without a start counts from.

        Raises:
            InvalidSchedule: at the first value, for what can never fire.
        """
        if self.start:
            after = max(after, self.start - timedelta(microseconds=1))
        if self.expires:
            until = min(until or self.expires, self.expires)
        if self.solar:
            yield from _solar_times(self.solar, after=after, until=until)
        elif schedule := self._schedule(anchor):
            yield from firetimes.fire_times(schedule, after=after, until=until, timezone=self.zone_info)

    def _schedule(self, anchor: datetime) -> firetimes.Schedule | None:
        if self.crontab:
            return self.crontab
        if self.every is not None:
            return Interval(every=self.every, anchor=self.start or anchor)
        return Once(at=self.clocked) if self.clocked else None

    def span_of(self, slots: int) -> timedelta:
        """Return a span of time that holds about this many slots and never many more.

        Raises:
            InvalidSchedule: for what can never fire.
        """
        if self.crontab:
            matches = self.crontab.matches
            return timedelta(days=slots / (len(matches["hour"]) * len(matches["minute"])))
        if self.every is not None:
            return min(self.every, timedelta(days=36_500) / slots) * slots
        return timedelta(days=slots)


def beside(task: PeriodicTask, name: str) -> Any:
    """Return a related row of the schedule; None if another tool has deleted it."""
    try:
        return getattr(task, name)
    except ObjectDoesNotExist:
        return None


def _length(interval: Any) -> timedelta:
    """Return the length of an interval; zero if its unit is unknown."""
    try:
        return timedelta(**{interval.period: interval.every})
    except OverflowError:
        return LONGEST_INTERVAL if interval.every > 0 else timedelta(0)
    except TypeError:
        return timedelta(0)


def _crontab_of(row: CrontabSchedule) -> Crontab:
    return _shared(row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week)


@lru_cache(maxsize=10_000)
def _shared(*parts: str) -> Crontab:
    """Return the same value for the same fields, so that what they match is found once."""
    return Crontab(*parts)


def _crontab(written: Any, zone: str) -> tuple[Crontab | None, str]:
    """Return the stored crontab and its zone."""
    match written:
        case None:
            return None, ""
        case str():  # the format of earlier versions: the fields, then the zone
            fields, _, zone = re.sub(r"\s*,\s*", ",", written).rpartition(" ")
            # A text that cannot be split is no crontab that can fire.
            return Crontab.parse(fields) if len(fields.split()) == 5 else Crontab(minute=fields), zone
        case _:
            return _shared(*written), zone


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _solar_times(
    where: tuple[str, float, float], *, after: datetime, until: datetime | None
) -> Iterator[datetime]:
    # Celery does the astronomy. The same event computed from two moments differs by parts of a second, so each is
    # always computed from the beginning of its day (UTC), and a slot is the next whole second.
    def first_after(probe: datetime) -> datetime:
        schedule = _solar_schedule(where, probe)
        found = probe + schedule.remaining_estimate(probe) + ALMOST_A_SECOND
        return found.astimezone(UTC).replace(microsecond=0)

    # From the day before, so that an event at midnight is computed the same way wherever the search begins.
    day = _beginning_of_day(after.astimezone(UTC)) - timedelta(days=1)
    last = day - SAME_EVENT
    searches = 0
    while True:
        noon, end = day + timedelta(hours=12), day + timedelta(days=1)
        slots = [first_after(day)]
        if slots[0] > end:  # none on this day: compute it from the beginning of its own day
            searches += slots[0] - day > LONGEST_SEARCH
            if searches == SEARCHES_MAX or (until is not None and slots[0] > until):
                return
            day = _beginning_of_day(slots[0])
            continue
        if slots[0] < noon:
            # An event that comes earlier each day occurs twice on the day on which it passes midnight.
            slots += [slot for slot in [first_after(noon)] if slot <= end]
        for slot in slots:
            if slot < last + SAME_EVENT:
                continue
            last = slot
            if until is not None and slot > until:
                return
            if slot > after:
                yield slot
        day = end


def _solar_schedule(where: tuple[str, float, float], now: datetime) -> solar:
    event: Any = where[0]
    try:
        return solar(event, where[1], where[2], nowfun=partial(_same, now))
    except ValueError as error:  # no such event or place
        raise InvalidSchedule(str(error)) from None


def _beginning_of_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _same(moment: datetime) -> datetime:
    return moment
