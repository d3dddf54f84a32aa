"""The rows of django-celery-beat in which a schedule's time is stored, and what is refused as a time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Case, Value, When
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from database import clock, zones
from database.messages import gettext as _
from maintenance.scheduling.crontab import InvalidTime
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.shifting import CannotShift, shifted
from maintenance.scheduling.timing import Timing

# The units of an interval, the longest first.
UNITS = {
    IntervalSchedule.DAYS: timedelta(days=1),
    IntervalSchedule.HOURS: timedelta(hours=1),
    IntervalSchedule.MINUTES: timedelta(minutes=1),
    IntervalSchedule.SECONDS: timedelta(seconds=1),
    IntervalSchedule.MICROSECONDS: timedelta(microseconds=1),
}
# A tick settles all slots since the last one: a shorter interval has more of them than runs can ever follow.
SHORTEST_INTERVAL = timedelta(seconds=1)
# The column of the number is a 32-bit integer, also in the shortest unit that a person may choose.
LONGEST_INTERVAL = timedelta(days=3_653)
CRONTAB_COLUMNS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
# A statement names each crontab, and the database compares each schedule with all of them.
SAVED_AT_ONCE = 200
# The columns of a schedule that hold its time.
COLUMNS = ("crontab", "interval", "clocked", "solar", "start_time", "expires")


def columns_of(timing: Timing) -> dict[str, Any]:
    """Return the columns of a schedule for this time; rows that do not exist yet are created."""
    return {
        "crontab": crontab_row(timing.crontab, timing.zone) if timing.crontab else None,
        "interval": _interval_row(timing.every) if timing.every is not None else None,
        "clocked": _clocked_row(timing.clocked) if timing.clocked else None,
        "solar": _solar_row(*timing.solar) if timing.solar else None,
        "start_time": timing.start,
        "expires": timing.expires,
    }


def crontab_row(crontab: Crontab, zone: str) -> CrontabSchedule:
    """Return a row of this crontab. Rows are shared between schedules and may exist twice: never edit one."""
    return _first_or_new(CrontabSchedule, _crontab_fields(crontab, zone))


def unsaved_crontab(crontab: Crontab, zone: str) -> CrontabSchedule:
    """Return an unsaved row of this crontab, for ``save_crontabs``."""
    return CrontabSchedule(**_crontab_fields(crontab, zone))


def save_crontabs(tasks: Iterable[PeriodicTask]) -> None:
    """Save which crontab each of the schedules with an unsaved one has, in few statements; rows are shared as ever."""
    changed = [task for task in tasks if task.crontab is not None and task.crontab.pk is None]
    if not changed:
        return
    rows = {_key(row): row for row in CrontabSchedule.objects.order_by("-pk")}  # the first of equal ones
    missing = {_key(task.crontab): task.crontab for task in changed if _key(task.crontab) not in rows}
    rows |= {_key(row): row for row in CrontabSchedule.objects.bulk_create(missing.values())}
    users: dict[int, list[int]] = {}
    for task in changed:
        task.crontab = rows[_key(task.crontab)]
        users.setdefault(task.crontab.pk, []).append(task.pk)
    found = list(users.items())
    for start in range(0, len(found), SAVED_AT_ONCE):
        some = found[start : start + SAVED_AT_ONCE]
        cases = [When(pk__in=keys, then=Value(row)) for row, keys in some]
        keys = [key for _row, keys in some for key in keys]
        PeriodicTask.objects.filter(pk__in=keys).update(crontab=Case(*cases))


def _key(row: CrontabSchedule) -> tuple[str, ...]:
    return tuple(str(getattr(row, name)) for name in (*CRONTAB_COLUMNS, "timezone"))


def _crontab_fields(crontab: Crontab, zone: str) -> dict[str, str]:
    return {**{name: getattr(crontab, name) for name in CRONTAB_COLUMNS}, "timezone": zone}


def _interval_row(every: timedelta) -> IntervalSchedule:
    number, unit = in_units(every)
    return _first_or_new(IntervalSchedule, {"every": number, "period": unit})


def _clocked_row(at: datetime) -> ClockedSchedule:
    return _first_or_new(ClockedSchedule, {"clocked_time": at})


def _solar_row(event: str, latitude: float, longitude: float) -> SolarSchedule:
    where = {
        name: Decimal(str(round(value, 6)))
        for name, value in (("latitude", latitude), ("longitude", longitude))
    }
    return _first_or_new(SolarSchedule, {"event": event, **where})


def _first_or_new(model: Any, fields: dict[str, Any]) -> Any:
    return model.objects.filter(**fields).order_by("pk").first() or model.objects.create(**fields)


def in_units(every: timedelta) -> tuple[int, str]:
    """Return an interval as a whole number of the longest unit that fits, such as (90, "minutes")."""
    unit = next(name for name, length in UNITS.items() if not every % length)
    return every // UNITS[unit], unit


def moved(timing: Timing, minutes: int) -> Timing:
    """Return the timing with its times of day moved by some minutes.

    Raises:
        CannotShift, also for a schedule without a crontab; InvalidTime.
    """
    if timing.crontab is None:
        raise CannotShift(_("It has no times of day: it runs by an interval, once, or by the sun."))
    zone = timing.zone or settings.TIME_ZONE
    time = replace(timing, crontab=shifted(timing.crontab, minutes), zone=zone)
    refuse(time, now=clock.now(), may_be_over=True)
    return time


def refuse(timing: Timing, *, now: datetime, may_be_over: bool = False) -> None:
    """Refuse a time that cannot be meant; ``may_be_over``: also accept one without a slot after ``now``.

    Raises:
        InvalidTime: naming the field: one of the crontab, or "timezone", "every", "clocked", "solar", "start" or
            "expires".
    """
    kinds = [timing.crontab, timing.every, timing.clocked, timing.solar]
    if sum(kind is not None for kind in kinds) != 1:
        raise InvalidTime(
            "crontab", _("A schedule has one time: a crontab, an interval, one moment, or the sun.")
        )
    if timing.crontab is not None:
        timing.crontab.validate()
        if not zones.is_offered(timing.zone):
            raise InvalidCrontab("timezone", _("%(name)s is no time zone.") % {"name": repr(timing.zone)})
    if timing.every is not None and not SHORTEST_INTERVAL <= timing.every <= LONGEST_INTERVAL:
        raise InvalidTime("every", _("An interval is from one second to ten years long."))
    if timing.solar is not None:
        _refuse_sun(*timing.solar)
    if not may_be_over:
        refuse_limits(timing.start, timing.expires)
        _refuse_over(timing, now)


def _refuse_sun(event: str, latitude: float, longitude: float) -> None:
    if event not in dict(SolarSchedule._meta.get_field("event").flatchoices):
        raise InvalidTime("solar", _("The sun has no such event: %(name)s.") % {"name": event})
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InvalidTime("solar", _("There is no such place: latitude up to 90, longitude up to 180."))


def refuse_limits(start: datetime | None, expires: datetime | None) -> None:
    """Raise InvalidTime if the end is not after the start."""
    if start and expires and expires <= start:
        raise InvalidTime("expires", _("The end is not after the start."))


def _refuse_over(timing: Timing, now: datetime) -> None:
    if timing.clocked is not None and timing.clocked <= now:
        raise InvalidTime("clocked", _("This moment has passed: choose a later one."))
    if timing.expires is not None and timing.expires <= now:
        raise InvalidTime("expires", _("This end has passed: choose a later one, or leave it empty."))
    if next(timing.fire_times(after=now, anchor=now), None) is None:
        field = "expires" if timing.expires else "start" if timing.start else "clocked"
        raise InvalidTime(field, _("It would never start its job between its start and its end."))
