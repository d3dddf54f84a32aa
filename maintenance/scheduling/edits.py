"""What people do to schedules: retime, shift, pause, resume, reset, keep, delete."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Model
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from audit.admin_edits import CHANGED, record_deletion
from audit.events import record
from database import clock
from database.ends import refuse_end
from database.locks import locked
from database.messages import Message
from database.messages import gettext as _
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import Person
from maintenance.scheduling import schedules, time_rows
from maintenance.scheduling.edit_events import DELETE as DELETE
from maintenance.scheduling.edit_events import (
    KEPT,
    PAUSED,
    POLICIES,
    RESUMED,
    RETIMED,
    permit,
    permit_deletion,
    state_of,
)
from maintenance.scheduling.edit_events import PERMISSION as PERMISSION
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.replanning import note_timing, plan_next, record_days_off
from maintenance.scheduling.schedules import RELATED, control_of, job_of
from maintenance.scheduling.timing import Timing

logger = logging.getLogger(__name__)

# Schedules resumed in one sweep: the lease must outlive it.
RESUMED_MAX = 100
PAUSE_FIELDS = ("paused_at", "paused_until", "paused_by", "pause_reason", "pause_reason_parts")


# --- Changing --------------------------------------------------------------------------------


def retime(
    task: PeriodicTask, *, by: Person | None, crontab: Crontab, timezone_name: str, reason: str = ""
) -> None:
    """Give the schedule another crontab. It applies from now on: a slot that has passed today is not caught up.

    Raises:
        PermissionDenied; InvalidCrontab naming the field, or "timezone".
    """
    permit(by)
    with transaction.atomic():
        _lock(task)
        time = replace(
            Timing.of(task), crontab=crontab, zone=timezone_name, every=None, clocked=None, solar=None
        )
        # Its start and end are not edited here, so a schedule that is over stays over.
        set_time(task, by=by, time=time, reason=reason, may_be_over=True)


def set_time(
    task: PeriodicTask, *, by: Person | None, time: Timing, reason: str = "", may_be_over: bool = False
) -> None:
    """Give the schedule another time: crontab, interval, one moment or the sun, with a start and an end.

    Whether ``time`` is enabled does not matter. It applies from now on, like ``retime``. A single moment makes the
    schedule a one-off; one that has run already is enabled again.

    Raises:
        PermissionDenied; InvalidTime naming the field, as ``time_rows.refuse`` does.
    """
    permit(by)
    time_rows.refuse(time, now=clock.now(), may_be_over=may_be_over)
    with transaction.atomic():
        _lock(task)
        before = state_of(task)
        was_clocked = task.clocked_id is not None
        for name, value in time_rows.columns_of(time).items():
            setattr(task, name, value)
        task.enabled = task.enabled or schedules.has_run(task)
        task.one_off = time.clocked is not None or (task.one_off and not was_clocked)
        _save(task, *time_rows.COLUMNS, "one_off", "enabled")
        _log(RETIMED, task, by, before, reason)


def shift(task: PeriodicTask, *, by: Person | None, minutes: int, reason: str = "") -> None:
    """Move the schedule's times of day by some minutes, later or earlier.

    Raises:
        PermissionDenied; CannotShift, also for a schedule without a crontab; InvalidCrontab.
    """
    permit(by)
    with transaction.atomic():
        _lock(task)  # somebody may have retimed it since the caller read it
        set_time(task, by=by, time=time_rows.moved(Timing.of(task), minutes), reason=reason, may_be_over=True)


def reset(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Put the job's default crontab back.

    Raises:
        PermissionDenied; ValueError when the job has no default.
    """
    job = job_of(task)
    if job is None or job.crontab is None:
        raise ValueError(_("%(name)s has no default schedule.") % {"name": task.name})
    with transaction.atomic():
        retime(
            task,
            by=by,
            crontab=Crontab.parse(job.crontab),
            timezone_name=settings.TIME_ZONE,
            reason=reason or _("Reset to default"),
        )
        _accept_default(task, job.crontab)


def keep(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Keep the schedule as it is although a deploy changed its default: from now on it is an override.

    Raises:
        PermissionDenied; ValueError when the job has no default.
    """
    permit(by)
    job = job_of(task)
    if job is None or job.crontab is None:
        raise ValueError(_("%(name)s has no default schedule.") % {"name": task.name})
    with transaction.atomic():
        _lock(task)
        _accept_default(task, job.crontab)
        _log(
            KEPT,
            task,
            by,
            state_of(task),
            reason or _("Kept; the default is now %(crontab)s") % {"crontab": job.crontab},
        )


def _accept_default(task: PeriodicTask, default: str) -> None:
    control = control_of(task)
    control.default_crontab = default
    control.save(update_fields=["default_crontab"])


def pause(task: PeriodicTask, *, by: Person | None, reason: str, until: datetime | None = None) -> None:
    """Stop the schedule from firing, until ``until`` or until it is resumed; change the pause of a paused one.

    Raises:
        PermissionDenied; ValueError when the reason is empty, or ``until`` is past or absurd.
    """
    permit(by)
    kept = reason_of_pause(reason, until)
    with transaction.atomic():
        _lock(task)
        _pause(task, by=by, reason=kept, until=until)


def reason_of_pause(reason: str, until: datetime | None) -> str:
    """Return the reason as it is kept.

    Raises:
        ValueError when the reason is empty, or ``until`` is past or absurd.
    """
    if not reason.strip():
        raise ValueError(_("Say why the schedule is paused."))
    refuse_end(until)
    # A sentence of the console keeps its parts, so that each reader has it in their language.
    return reason if isinstance(reason, Message) else reason.strip()[:500]


def pause_if(task: PeriodicTask, reason_for: Callable[[PeriodicTask], str]) -> bool:
    """Let the console pause the schedule if, under the lock, it is enabled and there is a reason; return whether."""
    with transaction.atomic():
        _lock(task)
        reason = reason_for(task) if task.enabled else ""
        if reason:
            _pause(task, by=None, reason=reason, until=None)
    return bool(reason)


def _pause(task: PeriodicTask, *, by: Person | None, reason: str, until: datetime | None) -> None:
    before = state_of(task)
    was_enabled, task.enabled = task.enabled, False
    _save(task, "enabled")
    control = control_of(task)
    begin_pause(control, was_enabled=was_enabled, by=by, reason=reason, until=until)
    control.save(update_fields=PAUSE_FIELDS)
    _log(PAUSED, task, by, before, reason)


def begin_pause(
    control: ScheduleControl, *, was_enabled: bool, by: Person | None, reason: str, until: datetime | None
) -> None:
    """Note the pause, unsaved: a new one, or other facts of the one that is."""
    if was_enabled or control.paused_at is None:
        control.paused_at = clock.now()
    control.paused_until = until
    control.paused_by_id = by.pk if by else None
    control.pause_reason = reason


def resume(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Let the schedule fire again from its next slot on; does nothing to one that is not paused.

    The slots that passed meanwhile become one SKIPPED row, unless the schedule catches up after pauses.

    Raises:
        PermissionDenied.
    """
    permit(by)
    _resume(task, by=by, reason=reason)


def _resume(task: PeriodicTask, *, by: Person | None, reason: str, at: datetime | None = None) -> None:
    """Resume under the lock; ``at`` is when the pause ended, if not now."""
    with transaction.atomic():
        _lock(task)
        control = control_of(task)
        if at is not None and control.paused_until != at:
            return  # somebody has changed the pause meanwhile
        if task.enabled and control.paused_at is None:
            return
        before = state_of(task)
        task.enabled = True
        # A slot at the exact end of a pause is not part of it.
        note_timing(task, at=at and at - timedelta(microseconds=1))
        _save(task, "enabled")
        _end_pause(ScheduleControl.objects.get(pk=task.pk))
        _log(RESUMED, task, by, before, reason)


def finish(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Let a one-off count as one that has run: it does not fire, and is not paused.

    Raises:
        PermissionDenied; ValueError for a schedule that is no one-off.
    """
    permit(by)
    with transaction.atomic():
        _lock(task)
        if not task.one_off:
            raise ValueError(_("Only a schedule that runs once can have run."))
        before = state_of(task)
        task.enabled = False
        _save(task, "enabled")
        _end_pause(ScheduleControl.objects.get(pk=task.pk))
        task.refresh_from_db()
        _log(CHANGED, task, by, before, reason)


def _end_pause(control: ScheduleControl) -> None:
    end_pause(control)
    control.save(update_fields=PAUSE_FIELDS)


def end_pause(control: ScheduleControl) -> None:
    """Note that there is no pause, unsaved."""
    control.paused_at = control.paused_until = control.paused_by = None
    control.pause_reason = ""


def resume_ended_pauses(now: datetime) -> int:
    """Resume schedules whose pause has ended, with the pause's end as the moment of resuming; return how many."""
    ended = ScheduleControl.objects.filter(paused_until__lte=now).select_related("schedule")
    resumed = 0
    for control in ended.order_by("paused_until")[:RESUMED_MAX]:
        try:
            _resume(
                control.schedule,
                by=None,
                reason=_("The pause ended."),
                at=control.paused_until,
            )
            resumed += 1
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("%s could not be resumed.", control)
    return resumed


def set_policies(task: PeriodicTask, policies: Mapping[str, Any], *, by: Person | None) -> None:
    """Set what happens to missed and overlapping slots, and after failures; ``policies``: values by field of the control.

    Raises:
        PermissionDenied.
    """
    permit(by)
    with transaction.atomic():
        control = control_of(task)
        before = {name: getattr(control, name) for name in policies}
        saved = [*policies]
        if any(before.get(name) != policies.get(name) for name in ("days_off", "days_off_weekends")):
            _lock(task)
            control = control_of(task)
            record_days_off(task, control, policies)
            saved += ["last_slot_at", "next_slot_at"]
        for name, value in policies.items():
            setattr(control, name, value)
        if len(saved) > len(policies):
            plan_next(control, Timing.of(task))
        control.save(update_fields=saved)
        changed = [name for name in policies if before[name] != policies[name]]
        if changed:
            record(
                POLICIES,
                task,
                by=by,
                before={name: before[name] for name in changed},
                after={name: policies[name] for name in changed},
            )


def delete(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Delete the schedule, under the lock that a tick takes, because the tick writes rows that refer to it. Its runs stay.

    Raises:
        PermissionDenied; RowGone.
    """
    permit_deletion(by)
    with transaction.atomic():
        # Its open runs first: a worker that hands a run back locks the run and then the schedule.
        list(JobRun.objects.open().filter(schedule=task).order_by("pk").select_for_update().values_list("pk"))
        locked(task)
        record_deletion(task, by=by, reason=reason)
        task.delete()


def set_details(
    task: PeriodicTask, values: Mapping[str, Any], *, by: Person | None, reason: str = ""
) -> None:
    """Set columns that decide neither the time nor a pause: name, what it starts, parameters; ``values`` by column.

    Raises:
        PermissionDenied.
    """
    permit(by)
    with transaction.atomic():
        _lock(task)
        before = {name: getattr(task, name) for name in values if getattr(task, name) != values[name]}
        for name in before:
            setattr(task, name, values[name])
        if before:
            _save(task, *before)
            after = {name: values[name] for name in before}
            record(CHANGED, task, by=by, before=before, after=after, reason=reason)


def save_edit(task: PeriodicTask) -> None:
    """Save the columns of a schedule except its time and those that beat writes."""
    _save(task, "name", "task", "description", "kwargs")


def _lock(task: PeriodicTask) -> None:
    """Lock the schedule as a tick does, and refresh the caller's copy, which may be old.

    Raises:
        RowGone.
    """
    if task.pk is not None:
        locked(task)
        # With its related rows: one that another tool has deleted is None then, and does not raise later.
        task.refresh_from_db(from_queryset=PeriodicTask.objects.select_related(*RELATED))


def _save(task: PeriodicTask, *names: str) -> None:
    if task.pk is None:
        task.save()
        return
    # A running beat counts runs in the same row; and django-celery-beat clears the last run of a
    # disabled task, although that run did happen.
    last_run_at = task.last_run_at
    # Not its own save(), which refuses a schedule without a time, and a clocked one that is no one-off. It must
    # be possible to repair and to pause those.
    Model.save(task, update_fields={*names, "date_changed"})
    PeriodicTasks.changed(task)
    task.last_run_at = last_run_at


def _log(
    verb: str, task: PeriodicTask, by: Person | None, before: dict[str, str | bool], reason: str
) -> None:
    record(verb, task, by=by, before=before, after=state_of(task), reason=reason)
