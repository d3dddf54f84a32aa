"""Performs a run: claims it, does its work, records how it ended. Every execution of a job goes through ``perform``."""

import logging
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction
from django_celery_beat.models import PeriodicTask

import maintenance.jobs  # noqa: F401  (declares the jobs)
from database import clock, trace_points
from database.errors import cause_of, once_it_answers
from database.json_fields import Unreadable
from database.messages import gettext as _
from maintenance.context import JobContext, Listener, never
from maintenance.ledger import current_run, decisions
from maintenance.ledger.attempts import Verdict, judge, reason_of, retry_at
from maintenance.ledger.blocked import run_blocked
from maintenance.ledger.dispatch import publish_next
from maintenance.ledger.heartbeat import Heartbeat
from maintenance.ledger.limits import retries_of, time_limit_of
from maintenance.ledger.requests import request_next_attempt
from maintenance.ledger.superseding import supersede_blocked
from maintenance.models import JobRun
from maintenance.purging.plan import TablePlan
from maintenance.registry import Job, get_job
from maintenance.stops import BlockRun, CancelRun, HandBack, JobFailed, SkipRun, StopRun
from scraping.sessions.abandoned import close_abandoned_sessions

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

# After this share of its time limit, the job's next checkpoint ends the attempt, and another one continues.
HAND_ON_SHARE = 0.8
# How long a worker retries to write how a run ended: a read-only database, a lock or a full disk may be transient.
UNWRITTEN_SECONDS = 600.0

# A one-off that was skipped because its work was in progress elsewhere is tried again after this time.
ONE_OFF_AGAIN = timedelta(minutes=1)


def worker_name() -> str:
    """Return the name under which this process owns its run."""
    return f"{socket.gethostname()}:{os.getpid()}"


def perform(
    run: JobRun,
    *,
    worker: str = "",
    stopping: Callable[[], bool] = never,
    listener: Listener | None = None,
    hands_on: bool = False,
    kill: Callable[[], None] | None = None,
) -> bool:
    """Claim the run and do its work. False: it could not be claimed (claimed, cancelled, gone, or its job is running).

    ``run`` needs only its key and its job: the claim reads the rest.
    Whatever happens is recorded in the row: an exception of the job is stored and then raised again.

    Args:
        run: the run to perform.
        worker: the name of this process.
        stopping: whether the process is to stop.
        listener: is called with progress.
        hands_on: whether to leave the rest to another attempt when most of the job's time limit is over; otherwise
            the limit counts from checkpoint to checkpoint.
        kill: ends the process of a run that hangs.
    """
    kept = current_run.current.set(run.pk)
    try:
        return trace_points.around_run(
            run,
            lambda: _perform(run, worker, stopping=stopping, listener=listener, hands_on=hands_on, kill=kill),
        )
    finally:
        current_run.current.reset(kept)


def _perform(
    run: JobRun,
    worker: str,
    *,
    stopping: Callable[[], bool],
    listener: Listener | None,
    hands_on: bool,
    kill: Callable[[], None] | None,
) -> bool:
    job = get_job(run.job)
    if not run.claim(worker=worker or worker_name()):
        return False

    limit = time_limit_of(job, run)

    def make() -> JobContext:
        hands_on_after = limit * HAND_ON_SHARE if hands_on else None
        return _context(job, run, stopping=stopping, listener=listener, hands_on_after=hands_on_after)

    try:
        try:
            context = once_it_answers(make, for_seconds=UNWRITTEN_SECONDS, give_up=stopping)
        except BaseException as failure:
            _end_at_start(run, failure, give_up=stopping)
            raise
        with Heartbeat(
            context,
            limit=limit,
            from_checkpoint=not hands_on,
            end=lambda reason, where: _end_by_force(job, run, reason, where),
            kill=kill,
        ):
            _execute(job, run, context)
    finally:
        if run.concurrency_key:
            publish_next(run.concurrency_key)
    return True


def _end_at_start(run: JobRun, failure: BaseException, *, give_up: Callable[[], bool]) -> None:
    """Record why a claimed run could not begin: nothing has a heartbeat yet, and its worker would count as lost."""
    error, trace, broken_off = f"{type(failure).__name__}: {failure}", traceback.format_exc(), ""
    if isinstance(failure, SystemExit | KeyboardInterrupt):
        broken_off, error = JobRun.Reason.TERMINATED, ""
    else:
        broken_off = reason_of(cause_of(failure)) if _is_refused(failure) else broken_off

    def write() -> None:
        with transaction.atomic():
            if not broken_off:
                run.finish(JobRun.Status.FAILED, error=error, traceback=trace)
                return
            found = judge(run, reason=broken_off, cursor=run.cursor, error=error)
            ended = run.finish(found.status, reason=found.reason, error=found.error, traceback=trace)
            if ended and found.goes_on:
                request_next_attempt(run, not_before=found.not_before)

    once_it_answers(write, for_seconds=UNWRITTEN_SECONDS, give_up=give_up)
    logger.warning("%s could not begin: %s", run, error or broken_off)


def _is_refused(failure: BaseException) -> bool:
    """Whether it is no error of the job: a restart, a lock not granted, a full disk."""
    return cause_of(failure) is not None or isinstance(failure, OperationalError | InterfaceError)


def _context(
    job: Job,
    run: JobRun,
    *,
    stopping: Callable[[], bool],
    listener: Listener | None,
    hands_on_after: timedelta | None,
) -> JobContext:
    return JobContext(
        run=run,
        params=run.params,
        rules=job.rules(run.params),
        dry_run=run.dry_run,
        stopping=stopping,
        listener=listener,
        on_plan=supersede_blocked,
        hands_on_after=hands_on_after,
        keeps_its_place=job.keeps_its_place,
    )


def _execute(job: Job, run: JobRun, context: JobContext) -> None:
    try:
        if isinstance(run.params, Unreadable):  # without its parameters it would do something else
            raise JobFailed(_("The parameters of this run cannot be read: request it again."))
        job.function(context)
    except StopRun as stop:
        _stop(run, context, stop)
    except (SystemExit, KeyboardInterrupt):
        _break_off(run, context, JobRun.Reason.TERMINATED, is_abrupt=True)
        raise
    except JobFailed as failure:
        _end(job, run, context, JobRun.Status.FAILED, error=str(failure), is_transient=failure.is_transient)
    except Exception as failure:
        error, trace = f"{type(failure).__name__}: {failure}", traceback.format_exc()
        if context.is_lost:
            logger.warning("%s was taken from this worker, and then: %s", run, error)
        elif _is_refused(failure):
            connection.close()
            reason = reason_of(cause_of(failure))
            _break_off(run, context, reason, error=error, trace=trace, is_abrupt=True)
        else:
            _finish(run, context, JobRun.Status.FAILED, error=error, trace=trace)
        raise
    else:
        status = JobRun.Status.PARTIAL if context.is_partial else JobRun.Status.SUCCEEDED
        _end(job, run, context, status, is_transient=context.is_transient)


def _end(
    job: Job, run: JobRun, context: JobContext, status: str, *, error: str = "", is_transient: bool
) -> None:
    """End a run whose job has finished or failed; perhaps it is tried again soon."""
    again = _write(context, lambda: retry_at(run, retries_of(job, run))) if is_transient else None
    _finish(run, context, status, error=error, next_attempt=again is not None, not_before=again)


def _stop(run: JobRun, context: JobContext, stop: StopRun) -> None:
    match stop:
        case HandBack():
            _break_off(run, context, stop.reason, until=stop.until)
        case CancelRun():
            _finish(run, context, JobRun.Status.CANCELLED, JobRun.Reason.OPERATOR)
        case SkipRun():
            _skip(run, context)
        case BlockRun():
            if _write(context, lambda: _block(run, context)):
                logger.error("%s is blocked: %s", run, context.message)
                run_blocked.send_robust(sender=JobRun, run=run)
        case _:  # LostClaim
            logger.warning("%s was taken from this worker; it writes nothing more.", run)


def _block(run: JobRun, context: JobContext) -> bool:
    with transaction.atomic():
        is_blocked = run.block(message=context.message)
        if is_blocked:
            decisions.record_decision(decisions.BLOCKED, run)
    return is_blocked


def _break_off(
    run: JobRun,
    context: JobContext,
    reason: str,
    *,
    error: str = "",
    trace: str = "",
    until: datetime | None = None,
    is_abrupt: bool = False,
) -> None:
    """End an attempt before its work is done; the verdict decides whether there is another one.

    ``is_abrupt``: it did not end at a checkpoint, but perhaps in the middle of a transaction.
    """

    def verdict() -> Verdict:
        if is_abrupt:
            context.reread()
        return judge(run, reason=reason, cursor=context.cursor, error=error, until=until)

    found = _write(context, verdict)
    _finish(
        run,
        context,
        found.status,
        found.reason,
        error=found.error,
        trace=trace,
        next_attempt=found.goes_on,
        not_before=found.not_before,
    )


def _end_by_force(job: Job, run: JobRun, reason: str, where: str) -> bool:
    """End a run whose job hangs, from another thread: only the row tells how far it is."""
    row = JobRun.objects.running().filter(pk=run.pk, worker=run.worker).first()
    if row is None:
        return False
    if reason == JobRun.Reason.OPERATOR:
        error = _("It was stopped by force: its process was killed.")
        ended = row.finish(JobRun.Status.CANCELLED, reason=reason, error=error, traceback=where)
        close_abandoned_sessions()
        return ended
    limit = {"limit": f"{time_limit_of(job, run).total_seconds():,.0f}"}
    error = _("It took longer than its time limit of %(limit)s s without reaching a checkpoint.") % limit
    verdict = judge(row, reason=reason, cursor=row.cursor, error=error)
    with transaction.atomic():
        ended = row.finish(verdict.status, reason=verdict.reason, error=verdict.error, traceback=where)
        if ended and verdict.goes_on:
            request_next_attempt(row, not_before=verdict.not_before)
    close_abandoned_sessions()
    return ended


def _write(context: JobContext, write: Callable[[], Result]) -> Result:
    """Write how a run ended as soon as the database accepts it; else recovery would take its worker for lost."""
    return once_it_answers(write, for_seconds=UNWRITTEN_SECONDS, give_up=context.is_stopping)


def _skip(run: JobRun, context: JobContext) -> None:
    """End a run that its job skips; a one-off is tried again later, because it has only one slot."""
    is_one_off = PeriodicTask.objects.filter(pk=run.schedule_id, one_off=True).exists
    if _write(context, is_one_off):
        _break_off(run, context, JobRun.Reason.WAITS, until=clock.now() + ONE_OFF_AGAIN)
    else:
        _finish(run, context, JobRun.Status.SKIPPED, JobRun.Reason.OVERLAP)


def _finish(
    run: JobRun,
    context: JobContext,
    status: str,
    reason: str = "",
    *,
    error: str = "",
    trace: str = "",
    next_attempt: bool = False,
    not_before: datetime | None = None,
) -> None:
    def write() -> bool:
        if context.is_in_doubt:
            context.reread()
        # A single statement is a transaction anyway.
        with transaction.atomic() if next_attempt else nullcontext():
            written = run.finish(
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
            if written and next_attempt:
                request_next_attempt(run, not_before=not_before)
        return written

    ended = _write(context, write)
    logger.log(
        logging.INFO if status == JobRun.Status.SUCCEEDED else logging.WARNING,
        "%s %s%s",
        run,
        status if ended else "had ended already",
        f": {error or context.message}" if error or context.message else "",
    )


class Preview(NamedTuple):
    """What a run would do if it started now."""

    # In the form in which a run would store it.
    plan: dict[str, Any]
    # Empty for a job that deletes nothing.
    tables: list[TablePlan]
    # Why it would wait for a person; empty: it would run.
    would_wait_for: list[str]


def preview(job: str, params: Mapping[str, Any] | None = None) -> Preview:
    """Return what the job would delete right now; writes nothing.

    Raises:
        UnknownJob, InvalidParams.
    """
    declared = get_job(job)
    cleaned = declared.clean(params)
    context = JobContext(run=None, params=cleaned, rules=declared.rules(cleaned), dry_run=True)
    declared.function(context)
    return Preview(context.plan.as_json(), context.plan.tables, context.plan.would_wait_for)
