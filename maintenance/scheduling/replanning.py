"""What happens when a schedule's timing is edited: its past slots are recorded, its next one is planned."""

import logging
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from database import clock
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import job_of_task
from maintenance.scheduling import slot_rows, slots
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.schedules import control_of
from maintenance.scheduling.targets import slug_of
from maintenance.scheduling.timing import Timing

logger = logging.getLogger(__name__)


# --- Noticing edits --------------------------------------------------------------------------


def note_timing(task: PeriodicTask, *, at: datetime | None = None) -> ScheduleControl:
    """Restart the schedule from this moment (or ``at``) if its timing was edited, so that no past slot fires.

    Earlier slots, which passed in a pause or had not been ticked yet, are recorded. Stock beat fires a daily 03:00
    schedule at once when it is moved to 09:00 at 10:00.
    """
    control = control_of(task)
    timing = Timing.of(task)
    if control.timing == str(timing):
        return control
    before = Timing.parse(control.timing)
    if before == timing:  # another version wrote the same timing in another form
        control.timing = str(timing)
        control.save(update_fields=["timing"])
    else:
        now = at or clock.database_now()  # by which beat ticks
        with transaction.atomic():
            if before is not None:
                _record_slots_before_edit(task, control, before, now)
            if not _keeps_due(task, control, before, timing):
                # A moment before the last edit would make slots due again that passed before that edit.
                since = now if at is None else max(now, control.effective_from)
                _start_anew(task, control, before, timing, since)
            control.timing = str(timing)
            plan_next(control, timing)
            control.save(update_fields=["timing", "effective_from", "last_slot_at", "next_slot_at"])
    return control


def recheck(task: PeriodicTask, *, now: datetime) -> None:
    """Notice what sends no signal: an edit by ``QuerySet.update()``, a clock set back, changed rules of a time zone."""
    control = note_timing(task)
    if slots.is_ahead_of_time(control, now=now):
        logger.warning("%s was settled until %s: the clock was set back.", task, control.settled_until)
        _count_from(control, now)
    planned = control.next_slot_at
    plan_next(control, Timing.of(task))
    if control.next_slot_at != planned:
        # Only if no tick has changed it meanwhile.
        ScheduleControl.objects.filter(pk=control.pk, next_slot_at=planned).update(
            next_slot_at=control.next_slot_at
        )


def _count_from(control: ScheduleControl, now: datetime) -> None:
    control.last_slot_at, control.effective_from = None, now
    control.save(update_fields=["last_slot_at", "effective_from"])


def _record_slots_before_edit(
    task: PeriodicTask, control: ScheduleControl, before: Timing, now: datetime
) -> None:
    job = job_of_task(task.task)
    window = Modes().window_of(job.group if job else "")
    try:
        rows = slots.record_before_edit(task, control, slug_of(task), before=before, now=now, window=window)
    except InvalidSchedule as error:  # it had no slots
        logger.warning("%s could not fire until now: %s", task.name, error)
        return
    except Exception:  # a schedule that cannot be computed had no slots, and it must be possible to repair it
        logger.exception("%s: its slots until now cannot be told.", task.name)
        return
    if rows:
        JobRun.objects.bulk_create(slot_rows.without_those_that_have_a_row(rows))


def _start_anew(
    task: PeriodicTask, control: ScheduleControl, before: Timing | None, after: Timing, now: datetime
) -> None:
    try:
        rows = slots.start_anew(task, control, slug_of(task), before=before, after=after, now=now)
    except InvalidSchedule:  # plan_next logs it
        control.effective_from = now
        return
    if rows:
        JobRun.objects.bulk_create(slot_rows.without_those_that_have_a_row(rows))


def _keeps_due(task: PeriodicTask, control: ScheduleControl, before: Timing | None, after: Timing) -> bool:
    """Whether the slots that are due so far stay due."""
    if before is None:
        return bool(control.timing)  # written by another version: nobody edited it
    # The end of a pause whose latest slots are caught up by the schedule's policy.
    return (
        control.catch_up_after_pause
        and not before.enabled
        and not slots.is_done(task, control, before)
        and replace(before, enabled=True) == after
    )


def plan_next(control: ScheduleControl, timing: Timing) -> None:
    """Set the next slot; a schedule that cannot be computed has none, and does not stop the others."""
    try:
        control.next_slot_at = slots.next_slot(timing, control)
    except InvalidSchedule as error:
        logger.warning("%s cannot fire: %s", control, error)
        control.next_slot_at = None
    except Exception:
        logger.exception("%s cannot fire: its schedule is invalid.", control)
        control.next_slot_at = None
