"""What happens when a schedule's timing is edited: its past slots are recorded, its next one is planned."""

import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import Error, transaction
from django_celery_beat.models import PeriodicTask

from database import clock
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import slot_rows, slots
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.schedules import control_of
from maintenance.scheduling.targets import slug_of
from maintenance.scheduling.timing import Timing

logger = logging.getLogger(__name__)

# What an edit of the timing changes beside it.
SAVED = ("effective_from", "last_slot_at", "next_slot_at", "failures_counted_from")


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
    if Timing.parse(control.timing) == timing:  # another version wrote the same timing in another form
        control.timing = str(timing)
        control.save(update_fields=["timing"])
    else:
        now = at or clock.database_now()  # by which beat ticks
        with transaction.atomic():
            insert(replan(task, control, now=now, is_in_the_past=at is not None))
            control.save(update_fields=[*SAVED, "timing"])
    return control


def replan(
    task: PeriodicTask,
    control: ScheduleControl,
    *,
    now: datetime,
    is_in_the_past: bool = False,
    modes: Modes | None = None,
) -> list[JobRun]:
    """Let the control follow the edited timing from ``now`` on, unsaved; return the (unsaved) rows of earlier slots.

    ``modes``: the switches, if the caller has already read them.
    """
    timing, before = Timing.of(task), Timing.parse(control.timing)
    if before == timing:
        return []
    rows = [] if before is None else _rows_before_edit(task, control, before, now, modes or Modes())
    if not _keeps_due(task, control, before, timing):
        # A moment before the last edit would make slots due again that passed before that edit.
        since = max(now, control.effective_from) if is_in_the_past else now
        rows += _start_anew(task, control, before, timing, since)
    if before is not None and timing.enabled and not before.enabled:
        control.failures_counted_from = now
    control.timing = str(timing)
    plan_next(control, timing)
    return rows


def insert(rows: list[JobRun]) -> None:
    """Insert the rows of slots; a slot that already has a row keeps it."""
    if rows:
        JobRun.objects.bulk_create(slot_rows.without_those_that_have_a_row(rows))


def recheck(task: PeriodicTask, *, now: datetime, modes: Modes) -> None:
    """Notice what sends no signal: an edit by ``QuerySet.update()``, a clock set back, changed rules of a time zone."""
    control = note_timing(task)
    if slots.is_ahead_of_time(control, now=now):
        logger.warning("%s was settled until %s: the clock was set back.", task, control.settled_until)
        _count_from(control, now)
    planned = control.next_slot_at
    plan_next(control, Timing.of(task))
    if control.next_slot_at != planned and not _is_put_off(task, planned, now=now, modes=modes):
        # Only if no tick has changed it meanwhile.
        ScheduleControl.objects.filter(pk=control.pk, next_slot_at=planned).update(
            next_slot_at=control.next_slot_at
        )


def _is_put_off(task: PeriodicTask, planned: datetime | None, *, now: datetime, modes: Modes) -> bool:
    """Whether a tick has put the schedule off until the end of what holds it now."""
    if planned is None or planned <= now or not task.enabled:
        return False
    next_slot, hold = task.control.next_slot_at, modes.holds_of(task).at(now)
    is_due = next_slot is not None and next_slot <= now
    return is_due and hold is not None and (hold.end is None or planned <= hold.end)


def record_days_off(task: PeriodicTask, control: ScheduleControl, policies: Mapping[str, Any]) -> None:
    """Record the slots so far, if days off have held one of them, before the schedule's calendar is changed.

    The only slot of a one-off stays due if it will run after that: after what holds it then, or at once. ``policies``:
    the new values, by column of the control.
    """
    timing, now = Timing.of(task), clock.database_now()
    try:
        holds = Modes().holds_of(task)
        due = slots.due_slots(timing, control, now=now) if task.enabled else []
        if not any(map(holds.covers, due)) or (
            task.one_off and _runs_with(policies, task, control, due, now=now)
        ):
            return
        rows = slots.record_before_edit(task, control, slug_of(task), before=timing, now=now, holds=holds)
    except Error:  # not known is not none: the edit fails, and nothing is changed
        raise
    except Exception:  # a schedule that cannot be computed had no slots
        logger.warning("%s: its slots until now cannot be told.", task.name, exc_info=True)
        return
    insert(rows)


def _runs_with(
    policies: Mapping[str, Any],
    task: PeriodicTask,
    control: ScheduleControl,
    due: list[datetime],
    *,
    now: datetime,
) -> bool:
    """Whether a one-off with these slots still runs once the policies are changed."""
    after = copy(control)
    for name, value in policies.items():
        setattr(after, name, value)
    holds = Modes().holds_of(task, control=after)
    return bool(slots.classify(due, now=now, control=after, holds=holds).first_only().run)


def _count_from(control: ScheduleControl, now: datetime) -> None:
    control.last_slot_at, control.effective_from = None, now
    control.save(update_fields=["last_slot_at", "effective_from"])


def _rows_before_edit(
    task: PeriodicTask, control: ScheduleControl, before: Timing, now: datetime, modes: Modes
) -> list[JobRun]:
    holds = modes.holds_of(task, timing=before)
    try:
        return slots.record_before_edit(task, control, slug_of(task), before=before, now=now, holds=holds)
    except InvalidSchedule as error:  # it had no slots
        logger.warning("%s could not fire until now: %s", task.name, error)
    except Exception:  # a schedule that cannot be computed had no slots, and it must be possible to repair it
        logger.exception("%s: its slots until now cannot be told.", task.name)
    return []


def _start_anew(
    task: PeriodicTask, control: ScheduleControl, before: Timing | None, after: Timing, now: datetime
) -> list[JobRun]:
    try:
        return slots.start_anew(task, control, slug_of(task), before=before, after=after, now=now)
    except InvalidSchedule:  # plan_next logs it
        control.effective_from = now
        return []


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
