"""What people do to schedules: retime, pause, resume, reset, keep."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Model
from django.utils import translation
from django.utils.translation import gettext_noop
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from audit import words
from audit.events import record
from database import clock, zones
from database.ends import refuse_end
from database.messages import gettext as _
from maintenance.models import ScheduleControl
from maintenance.registry import Person
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.replanning import note_timing
from maintenance.scheduling.schedules import RELATED, _crontab_row, control_of, job_of, stored_time

PERMISSION = "django_celery_beat.change_periodictask"
CREATED, RETIMED, KEPT = "schedule.created", "schedule.retimed", "schedule.kept"
PAUSED, RESUMED, POLICIES = "schedule.paused", "schedule.resumed", "schedule.policies_changed"
words.register(
    {
        CREATED: gettext_noop("created by its default"),
        RETIMED: gettext_noop("retimed"),
        KEPT: gettext_noop("kept although its default changed"),
        PAUSED: gettext_noop("paused, or changed the pause"),
        RESUMED: gettext_noop("resumed"),
        POLICIES: gettext_noop("changed what happens to missed and overlapping slots"),
    }
)

logger = logging.getLogger(__name__)

# Schedules resumed in one sweep: the lease must outlive it.
RESUMED_MAX = 100


# --- Changing --------------------------------------------------------------------------------


def retime(
    task: PeriodicTask, *, by: Person | None, crontab: Crontab, timezone_name: str, reason: str = ""
) -> None:
    """Give the schedule another crontab. It applies from now on: a slot that has passed today is not caught up.

    Raises:
        PermissionDenied; InvalidCrontab naming the field, or "timezone".
    """
    _permit(by)
    crontab.validate()
    if not zones.is_offered(timezone_name):
        raise InvalidCrontab("timezone", _("%(name)s is no time zone.") % {"name": repr(timezone_name)})
    with transaction.atomic():
        _lock(task)
        before = _state(task)
        task.crontab = _crontab_row(crontab, timezone_name)
        task.interval = task.clocked = task.solar = None
        _save(task, "crontab", "interval", "clocked", "solar")
        _log(RETIMED, task, by, before, reason)


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
    _permit(by)
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
            _state(task),
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
    _permit(by)
    if not reason.strip():
        raise ValueError(_("Say why the schedule is paused."))
    refuse_end(until)
    with transaction.atomic():
        _lock(task)
        before = _state(task)
        was_enabled, task.enabled = task.enabled, False
        _save(task, "enabled")
        control = control_of(task)
        if was_enabled or control.paused_at is None:
            control.paused_at = clock.now()
        control.paused_until = until
        control.paused_by_id = by.pk if by else None
        control.pause_reason = reason.strip()[:500]
        control.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
        _log(PAUSED, task, by, before, reason)


def resume(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Let the schedule fire again from its next slot on; does nothing to one that is not paused.

    The slots that passed meanwhile become one SKIPPED row, unless the schedule catches up after pauses.

    Raises:
        PermissionDenied.
    """
    _permit(by)
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
        before = _state(task)
        task.enabled = True
        # A slot at the exact end of a pause is not part of it.
        note_timing(task, at=at and at - timedelta(microseconds=1))
        _save(task, "enabled")
        control = ScheduleControl.objects.get(pk=task.pk)
        control.paused_at = control.paused_until = control.paused_by = None
        control.pause_reason = ""
        control.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
        _log(RESUMED, task, by, before, reason)


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
    """Set what happens to missed and overlapping slots; ``policies``: values by field of the control.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    with transaction.atomic():
        control = control_of(task)
        before = {name: getattr(control, name) for name in policies}
        for name, value in policies.items():
            setattr(control, name, value)
        control.save(update_fields=list(policies))
        changed = [name for name in policies if before[name] != policies[name]]
        if changed:
            record(
                POLICIES,
                task,
                by=by,
                before={name: before[name] for name in changed},
                after={name: policies[name] for name in changed},
            )


def save_edit(task: PeriodicTask) -> None:
    """Save the columns of a schedule except its time and those that beat writes."""
    _save(task, "name", "task", "description", "kwargs")


def _lock(task: PeriodicTask) -> None:
    """Lock the schedule as a tick does, and refresh the caller's copy, which may be old."""
    if task.pk is not None:
        PeriodicTask.objects.select_for_update().get(pk=task.pk)
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


def _permit(by: Person | None) -> None:
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change schedules."))


def _state(task: PeriodicTask) -> dict[str, str | bool]:
    with translation.override("en"):  # for an interval it is a text of django-celery-beat
        stored = stored_time(task)
    state = {"schedule": stored, "enabled": task.enabled}
    if not task.enabled:
        control = control_of(task)
        until = control.paused_until
        state |= {"pause": control.pause_reason, "until": until.isoformat() if until else ""}
    return state


def _log(
    verb: str, task: PeriodicTask, by: Person | None, before: dict[str, str | bool], reason: str
) -> None:
    record(verb, task, by=by, before=before, after=_state(task), reason=reason)
