"""The ledger's services: request, perform, cancel, approve.

Every door (tick, admin, command, API) calls ``request_run``; every execution is ``perform``. The row is the
truth; the Celery message only says "look at run 17". A message that is lost, late or doubled harms nothing.
"""

import json
import logging
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from celery import current_app
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError as BrokerUnavailable

import maintenance.jobs  # noqa: F401  (declares the jobs)
from maintenance.context import (
    BlockRun,
    CancelRun,
    HandBack,
    Heartbeat,
    JobContext,
    JobFailed,
    Listener,
    SkipRun,
    StopRun,
    never,
)
from maintenance.models import JobRun, RetentionPolicy, ScheduleControl
from maintenance.purge import PlanRow
from maintenance.registry import Job, Person, get_job, is_known

logger = logging.getLogger(__name__)

# A run whose worker was lost this often is FAILED: it may be what kills the workers.
LOST_ATTEMPTS_MAX = 3


class NotPossible(Exception):
    """The run's state does not allow that; the message says why."""


# --- Requesting ------------------------------------------------------------------------------


def request_run(
    *,
    job: str,
    trigger: str,
    by: Person | None = None,
    dry_run: bool = False,
    params: Mapping[str, Any] | None = None,
    send: bool = True,
) -> JobRun:
    """Write down that a job shall run, and publish its message once that is committed.

    Args:
        job: its slug.
        trigger: a JobRun.Trigger.
        by: who asks; None for the system itself and for whoever has a shell.
        dry_run: plan only.
        params: by name, checked by the job.
        send: False when the caller performs the run itself.

    Raises:
        UnknownJob, InvalidParams, PermissionDenied.
    """
    declared = get_job(job)
    cleaned = declared.clean(params)
    if by is not None and not declared.may_run(by, cleaned):
        raise PermissionDenied(_("You may not run %(job)s.") % {"job": declared.title})
    run = JobRun.objects.create(
        job=job,
        trigger=trigger,
        requested_by=by if isinstance(by, User) else None,
        requested_by_name=by.get_username() if by else "",
        dry_run=dry_run,
        params=cleaned,
        # A dry run only looks: it may run beside the real one.
        concurrency_key="" if dry_run else declared.concurrency_key(cleaned),
    )
    if send:
        transaction.on_commit(lambda: publish(run))
    return run


def request_slot(
    *, schedule: PeriodicTask, control: ScheduleControl, job: Job, slot: datetime, made_up: bool = False
) -> JobRun | None:
    """Write down the run of one slot, inside the scheduler's transaction; None: the slot has its run already.

    The overlap policy decides whether it is QUEUED or SKIPPED; a slot that is made up waits for its turn
    instead. The caller publishes after its commit.
    """
    now = timezone.now()
    run = JobRun(
        job=job.slug,
        trigger=JobRun.Trigger.SCHEDULE,
        schedule=schedule,
        schedule_name=schedule.name,
        scheduled_for=slot,
        queued_at=now,
    )
    try:
        run.params = job.clean(json.loads(schedule.kwargs or "{}"))
    except (
        ValueError,
        AttributeError,
        ValidationError,
    ) as error:  # no JSON, no object, no parameters of the job
        run.status, run.finished_at = JobRun.Status.FAILED, now
        run.error = _("The schedule's arguments cannot be used: %(error)s") % {"error": error}
    else:
        run.concurrency_key = job.concurrency_key(run.params)
        if not made_up:
            _apply_overlap_policy(run, control, now)
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        taken = JobRun.objects.filter(schedule=schedule, scheduled_for=slot, trigger=run.trigger)
        if not taken.exists():
            raise  # it was some other constraint: our fault
        return None
    return run


def _apply_overlap_policy(run: JobRun, control: ScheduleControl, now: datetime) -> None:
    open_runs = JobRun.objects.open().filter(concurrency_key=run.concurrency_key, dry_run=False)
    if control.overlap_policy == ScheduleControl.OverlapPolicy.QUEUE_ONE:
        open_runs = open_runs.queued()
    earlier = open_runs.order_by("id").first()
    if earlier:
        run.status, run.reason, run.finished_at = JobRun.Status.SKIPPED, JobRun.Reason.OVERLAP, now
        run.message = _("Run #%(id)s was not finished.") % {"id": earlier.pk}


def request_next_attempt(run: JobRun) -> JobRun:
    """Write down the attempt that resumes an interrupted run from its cursor; there is at most one."""
    attempt, created = JobRun.objects.get_or_create(
        retry_of=run,
        defaults={
            "job": run.job,
            "trigger": JobRun.Trigger.RETRY,
            "requested_by": run.requested_by,
            "requested_by_name": run.requested_by_name,
            "schedule": run.schedule,
            "schedule_name": run.schedule_name,
            "scheduled_for": run.scheduled_for,
            "dry_run": run.dry_run,
            "params": run.params,
            "concurrency_key": run.concurrency_key,
            "cursor": run.cursor,
            "attempt": run.attempt + 1,
        },
    )
    if created:
        transaction.on_commit(lambda: publish(attempt))
    return attempt


def publish(run: JobRun) -> bool:
    """Send the message that makes a worker look at this run. False: not now; recovery will send it.

    Not now: the broker is away, or only a newer or older process than this one knows the job.
    """
    if not is_known(run.job):
        return False
    try:
        current_app.send_task(get_job(run.job).task_name, args=[run.pk])
    except (BrokerUnavailable, OSError) as error:
        logger.warning("%s waits in the database, the broker does not answer: %s", run, error)
        return False
    run.mark_sent()
    return True


def publish_next(concurrency_key: str) -> None:
    """Send the message of the run that has waited longest behind this key."""
    waiting = JobRun.objects.queued().filter(concurrency_key=concurrency_key).order_by("id").first()
    if waiting:
        publish(waiting)


# --- Performing ------------------------------------------------------------------------------


def worker_name() -> str:
    """Return the name by which this process owns its run."""
    return f"{socket.gethostname()}:{os.getpid()}"


def retention_days(job: Job) -> int | None:
    """Return the operator's retention of the job, or its declared one."""
    if job.retention_days is None:
        return None
    policy = RetentionPolicy.objects.filter(job=job.slug).values_list("days", flat=True).first()
    return policy or job.retention_days


def perform(
    run: JobRun,
    *,
    worker: str = "",
    stopping: Callable[[], bool] = never,
    listener: Listener | None = None,
) -> bool:
    """Claim the run and do its work. False: it was not to be had (claimed, cancelled, or its job is running).

    Whatever happens, the row says so: an exception of the job is recorded and then raised again.
    """
    job = get_job(run.job)
    if not run.claim(worker=worker or worker_name()):
        return False
    context = JobContext(
        run=run,
        params=run.params,
        retention_days=retention_days(job),
        dry_run=run.dry_run,
        stopping=stopping,
        listener=listener,
    )
    try:
        with Heartbeat(context):
            _execute(job, run, context)
    finally:
        if run.concurrency_key:
            publish_next(run.concurrency_key)
    return True


def _execute(job: Job, run: JobRun, context: JobContext) -> None:
    try:
        job.function(context)
    except StopRun as stop:
        _stop(run, context, stop)
    except (SystemExit, KeyboardInterrupt):
        _stop(run, context, HandBack())
        raise
    except JobFailed as failure:
        _finish(run, context, JobRun.Status.FAILED, error=str(failure))
    except (OperationalError, InterfaceError) as failure:
        # A restart of the database, a lock not granted: nothing that the job did wrong. If it is still
        # away, the row stays RUNNING and silent, and recovery does the same.
        connection.close()
        _interrupt_by_database(run, context, f"{type(failure).__name__}: {failure}")
        raise
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        _finish(run, context, JobRun.Status.FAILED, error=error, trace=traceback.format_exc())
        raise
    else:
        _finish(run, context, JobRun.Status.PARTIAL if context.is_partial else JobRun.Status.SUCCEEDED)


def _interrupt_by_database(run: JobRun, context: JobContext, error: str) -> None:
    trace = traceback.format_exc()
    if attempts_lost(run) >= LOST_ATTEMPTS_MAX:
        reason = JobRun.Reason.TOO_MANY_ATTEMPTS
        _finish(run, context, JobRun.Status.FAILED, reason, error=error, trace=trace)
    else:
        reason = JobRun.Reason.DATABASE
        _finish(run, context, JobRun.Status.INTERRUPTED, reason, error=error, trace=trace, next_attempt=True)


def attempts_lost(run: JobRun) -> int:
    """Return how many attempts were lost in a row, this one included, without getting any further."""
    lost, earlier = 1, run.retry_of
    while earlier is not None and earlier.cursor == run.cursor:
        lost += earlier.reason in (JobRun.Reason.WORKER_LOST, JobRun.Reason.DATABASE)
        earlier = earlier.retry_of
    return lost


def _stop(run: JobRun, context: JobContext, stop: StopRun) -> None:
    match stop:
        case HandBack():
            # What an operator cancelled a moment before must not go on elsewhere.
            if JobRun.objects.filter(pk=run.pk, cancel_requested_at__isnull=False).exists():
                _finish(run, context, JobRun.Status.CANCELLED, JobRun.Reason.OPERATOR)
                return
            reason = JobRun.Reason.WORKER_STOPPED
            _finish(run, context, JobRun.Status.INTERRUPTED, reason, next_attempt=True)
        case CancelRun():
            _finish(run, context, JobRun.Status.CANCELLED, JobRun.Reason.OPERATOR)
        case SkipRun():
            _finish(run, context, JobRun.Status.SKIPPED, JobRun.Reason.OVERLAP)
        case BlockRun():
            run.block(message=context.message, counts={row.model: row.rows for row in context.plan})
        case _:  # LostClaim
            logger.warning("%s was taken from this worker; it writes nothing more.", run)


def _finish(
    run: JobRun,
    context: JobContext,
    status: str,
    reason: str = "",
    *,
    error: str = "",
    trace: str = "",
    next_attempt: bool = False,
) -> None:
    with transaction.atomic():
        ended = run.finish(
            status,
            reason=reason,
            message=context.message,
            error=error,
            traceback=trace,
            counts=dict(context.counts),
            progress_done=run.progress_done,
            progress_total=run.progress_total,
            cursor=dict(context.cursor) or None,
        )
        if ended and next_attempt:
            request_next_attempt(run)
    logger.log(
        logging.INFO if status == JobRun.Status.SUCCEEDED else logging.WARNING,
        "%s %s%s",
        run,
        status if ended else "had ended already",
        f": {error or context.message}" if error or context.message else "",
    )


# --- Looking ahead, intervening --------------------------------------------------------------


def preview(job: str, params: Mapping[str, Any] | None = None) -> list[PlanRow]:
    """Return what the job would delete right now; writes nothing. Empty for a job that deletes nothing.

    Raises:
        UnknownJob, InvalidParams.
    """
    declared = get_job(job)
    context = JobContext(
        run=None, params=declared.clean(params), retention_days=retention_days(declared), dry_run=True
    )
    declared.function(context)
    return context.plan


def cancel_run(run: JobRun, *, by: Person) -> None:
    """Cancel a queued run at once, a running one at its next checkpoint.

    Raises:
        PermissionDenied; NotPossible when the run is over.
    """
    if not _may(by, "maintenance.cancel_jobrun"):
        raise PermissionDenied(_("You may not cancel runs."))
    if run.cancel_queued(message=_("Cancelled by %(name)s.") % {"name": by.get_username()}):
        return
    if not run.ask_to_cancel():
        run.refresh_from_db()
        raise NotPossible(_("%(run)s is %(status)s.") % {"run": run, "status": run.get_status_display()})


def approve_run(run: JobRun, *, by: Person, reason: str) -> None:
    """Let a BLOCKED run go on in spite of the cap.

    Raises:
        PermissionDenied; NotPossible when it is not blocked.
    """
    if not _may(by, "maintenance.approve_run"):
        raise PermissionDenied(_("You may not approve runs."))
    if not run.approve(
        message=_("Approved by %(name)s: %(reason)s") % {"name": by.get_username(), "reason": reason}
    ):
        raise NotPossible(_("%(run)s is not blocked.") % {"run": run})
    transaction.on_commit(lambda: publish(run))


def reject_run(run: JobRun, *, by: Person, reason: str) -> None:
    """End a BLOCKED run without doing its work.

    Raises:
        PermissionDenied; NotPossible when it is not blocked.
    """
    if not _may(by, "maintenance.approve_run"):
        raise PermissionDenied(_("You may not reject runs."))
    if not run.reject(
        message=_("Rejected by %(name)s: %(reason)s") % {"name": by.get_username(), "reason": reason}
    ):
        raise NotPossible(_("%(run)s is not blocked.") % {"run": run})


def _may(user: Person, permission: str) -> bool:
    return user.is_active and user.has_perm(permission)


def as_json(run: JobRun) -> dict[str, Any]:
    """Return the run as the API and ``--json`` show it; times are ISO 8601, durations seconds."""

    def iso(moment: datetime | None) -> str | None:
        return moment.isoformat() if moment else None

    return {
        "id": run.pk,
        "job": run.job,
        "status": run.status,
        "reason": run.reason,
        "trigger": run.trigger,
        "requested_by": run.requested_by_name or None,
        "schedule": run.schedule_name or None,
        "scheduled_for": iso(run.scheduled_for),
        "dry_run": run.dry_run,
        "params": run.params,
        "queued_at": iso(run.queued_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "duration_seconds": run.duration.total_seconds() if run.duration is not None else None,
        "worker": run.worker or None,
        "attempt": run.attempt,
        "retry_of": run.retry_of_id,
        "progress": {"done": run.progress_done, "total": run.progress_total, "stage": run.stage},
        "counts": run.counts,
        "message": run.message,
        "error": run.error,
    }
