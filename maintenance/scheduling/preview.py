"""The preview that the form of a schedule shows while a crontab is being edited."""

import copy
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from django.utils.translation import get_language
from django_celery_beat.models import PeriodicTask

from maintenance.models import ScheduleControl
from maintenance.scheduling import firetimes, maintenance_mode, schedules
from maintenance.scheduling.firetimes import ClockChange, Crontab
from maintenance.scheduling.forecast import Hold, forecast
from maintenance.scheduling.timing import Timing

PREVIEWED_SLOTS = 5


@dataclass(frozen=True)
class Preview:
    """What the form shows beside its fields; all moments are in the schedule's zone."""

    sentence: str
    zone: str
    has_both_days: bool
    slots: list[datetime]
    # What holds the first slot; if that has no end, the slots are those that would run if it ended now.
    hold: Hold
    held_until: datetime | None
    # Changes of clocks in the coming year that repeat or leave out times of the crontab.
    changes: list[ClockChange]


def preview(crontab: Crontab, zone: ZoneInfo, *, task: PeriodicTask | None, now: datetime) -> Preview:
    """Return what the schedule (None: a new one) would do with this crontab from now on.

    Raises:
        InvalidCrontab.
    """
    task = task or PeriodicTask(enabled=True)
    kept = schedules.control_or_default(task)
    control: ScheduleControl = copy.copy(kept)
    control.effective_from, control.last_slot_at = now, None
    timing = replace(Timing.of(task), crontab=crontab, zone=zone.key, every=None, clocked=None, solar=None)
    job = schedules.job_of(task) if task.task else None
    window = maintenance_mode.Modes().window_of(job.group if job else "")
    coming = forecast(task, timing, control, now=now, window=window, number=PREVIEWED_SLOTS)
    times = coming.times
    if coming.hold and coming.held_until is None:
        times = list(islice(timing.fire_times(after=now, anchor=now), PREVIEWED_SLOTS))
    return Preview(
        sentence=firetimes.describe(crontab, get_language() or "en"),
        zone=zone.key,
        has_both_days=crontab.needs_both_days,
        slots=[slot.astimezone(zone) for slot in times],
        hold=coming.hold,
        held_until=coming.held_until and coming.held_until.astimezone(zone),
        changes=firetimes.clock_changes(crontab, after=now, zone=zone),
    )
