"""The preview that the form of a schedule shows while its time is being edited."""

import copy
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from adminkit.moments import with_zone
from maintenance.models import ScheduleControl
from maintenance.scheduling import days_off, firetimes, maintenance_mode, schedules
from maintenance.scheduling.firetimes import ClockChange
from maintenance.scheduling.forecast import HeldSlot, forecast, held_slots
from maintenance.scheduling.holds import Hold, Holds, Period
from maintenance.scheduling.neighbours import Meeting, TooLong, neighbours
from maintenance.scheduling.time_rows import in_units
from maintenance.scheduling.timing import Timing

PREVIEWED_SLOTS = 10
MEETINGS_SAID = 3


@dataclass(frozen=True)
class Slot:
    """One fire time."""

    at: datetime  # in the schedule's zone
    here: datetime | None  # in the reader's zone; None: it is not known, or the schedule's
    # Whether the clocks of the schedule's zone have changed since the slot before, or since now.
    after_change: bool
    # What keeps it from happening at its time; None: it will happen.
    held: Period | None = None


@dataclass(frozen=True)
class Preview:
    """What the form shows beside its fields; all moments are in the schedule's zone."""

    sentence: str
    zone: str
    has_both_days: bool
    # Ascending; those that will not happen at their time are among them, unless the hold has no end.
    slots: list[Slot]
    runs: int  # how many of them will happen
    calendar: str  # the country whose holidays are days off; empty: none
    # The last year that its calendar knows, if that is near or past.
    calendar_ends: int | None
    # What holds the first slot; if that has no end, the slots are those that would run if it ended now.
    held: Period | None
    held_until: datetime | None
    # Changes of clocks in the coming year that repeat or leave out times of the crontab.
    changes: list[ClockChange]
    too_long: TooLong | None
    meetings: list[Meeting]
    meetings_cut: bool  # not all schedules with long runs were compared
    reader_zone: str  # empty: there is no column for it


def preview(
    time: Timing,
    zone: ZoneInfo,
    *,
    task: PeriodicTask | None,
    now: datetime,
    reader_zone: ZoneInfo | None = None,
    calendar: tuple[str, bool] | None = None,
) -> Preview:
    """Return what the schedule (None: a new one) would do with this time from now on.

    Args:
        time: it must be one that ``time_rows.refuse`` accepts.
        zone: the zone in which moments are shown.
        task: whose job, pauses and policies count.
        now: from when.
        reader_zone: another zone in which the fire times are shown.
        calendar: whose holidays are days off, and whether weekends are; None: as stored.
    """
    task, control, time = _as_typed(task, time, now, calendar)
    holds = maintenance_mode.Modes().holds_of(task, control=control, timing=time)
    number = 1 if task.one_off else PREVIEWED_SLOTS
    coming = forecast(task, time, control, now=now, holds=holds, number=number)
    times = coming.times
    if coming.hold and coming.held_until is None:
        times = list(islice(time.fire_times(after=now, anchor=now), number))
    skipped = _skipped(time, control, now, times, holds) if not coming.held or coming.held_until else []
    here = reader_zone if reader_zone and reader_zone.key not in (zone.key, "UTC") else None
    nearby = neighbours(task, times)
    return Preview(
        sentence=_sentence(time, zone),
        zone=zone.key,
        has_both_days=time.crontab is not None and time.crontab.needs_both_days,
        slots=_slots(times, skipped, zone, here, now),
        runs=len(times),
        calendar=days_off.name_of_calendar(control.days_off),
        calendar_ends=days_off.ends_soon(control.days_off) if control.days_off else None,
        held=coming.held,
        held_until=coming.held_until and coming.held_until.astimezone(zone),
        changes=firetimes.clock_changes(time.crontab, after=now, zone=zone) if time.crontab else [],
        too_long=nearby.too_long,
        meetings=[
            replace(meeting, at=meeting.at.astimezone(zone)) for meeting in nearby.meetings[:MEETINGS_SAID]
        ],
        meetings_cut=nearby.is_cut,
        reader_zone=here.key if here else "",
    )


def _as_typed(
    task: PeriodicTask | None, time: Timing, now: datetime, calendar: tuple[str, bool] | None
) -> tuple[PeriodicTask, ScheduleControl, Timing]:
    """Return copies of the schedule and its control as they would be with this time and calendar, from now on."""
    task = copy.copy(task) if task else PeriodicTask(enabled=True)
    if schedules.has_run(task):
        task.enabled = True  # as it will be with another time
    task.one_off = time.clocked is not None or (task.one_off and Timing.of(task).clocked is None)
    control: ScheduleControl = copy.copy(schedules.control_or_default(task))
    control.effective_from, control.last_slot_at = now, None
    if calendar is not None:
        control.days_off, control.days_off_weekends = calendar
    return task, control, replace(time, enabled=task.enabled)


def _skipped(
    time: Timing, control: ScheduleControl, now: datetime, times: list[datetime], holds: Holds
) -> list[HeldSlot]:
    """Return the slots between now and the last time shown that a window or a day off holds."""
    if not times:
        return []
    found = held_slots(time, control, after=now, until=times[-1], holds=holds)
    return [slot for slot in found if slot.period.kind in (Hold.WINDOW, Hold.DAY_OFF)]


def _slots(
    times: list[datetime],
    skipped: list[HeldSlot],
    zone: ZoneInfo,
    here: ZoneInfo | None,
    now: datetime,
) -> list[Slot]:
    held = {slot.at: slot.period for slot in skipped}
    # A slot that is caught up at the end of a hold may be at a time of its own.
    moments = sorted({*times, *held})
    local = [moment.astimezone(zone) for moment in (now, *moments)]
    return [
        Slot(
            at=after,
            here=after.astimezone(here) if here else None,
            after_change=before.utcoffset() != after.utcoffset(),
            held=held.get(moment),
        )
        for moment, (before, after) in zip(moments, pairwise(local), strict=True)
    ]


def _sentence(time: Timing, zone: ZoneInfo) -> str:
    if time.crontab is not None:
        return firetimes.describe(time.crontab, get_language() or "en")
    if time.every is not None:
        number, unit = in_units(time.every)
        return str(IntervalSchedule(every=number, period=unit))
    if time.clocked is not None:
        return _("Once, at %(moment)s") % {
            "moment": with_zone(time.clocked.astimezone(zone), "%Y-%m-%d %H:%M")
        }
    return _("By the sun")
