"""The ledger's services: request, perform, cancel, approve.

Every door (tick, admin, command, API) calls ``request_run``; every execution is ``perform``. The row is the
truth; the Celery message only says "look at run 17". A message that is lost, late or doubled harms nothing.
"""

import logging
import os
import socket
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.mail import send_mail
from django.db import InterfaceError, OperationalError, connection, transaction
from django.dispatch import Signal, receiver
from django.utils import translation
from django_celery_beat.models import PeriodicTask

import maintenance.jobs  # noqa: F401  (declares the jobs)
from database import clock
from database.errors import cause_of, once_it_answers
from database.json_fields import Unreadable
from database.messages import SUFFIX, english_of, parts_of
from database.messages import gettext as _
from maintenance.context import (
    BlockRun,
    CancelRun,
    HandBack,
    JobContext,
    JobFailed,
    Listener,
    SkipRun,
    StopRun,
    never,
)
from maintenance.ledger import decisions, publishing
from maintenance.ledger.attempts import Verdict, judge, reason_of, retry_at
from maintenance.ledger.heartbeat import Heartbeat
from maintenance.ledger.superseding import supersede_blocked
from maintenance.models import FORCE_STOP_AFTER, JobRun, RunLogLine, ScheduleControl
from maintenance.models.statuses import FAILURES
from maintenance.purging.deletion import GONE
from maintenance.purging.plan import TablePlan
from maintenance.registry import InvalidParams, Job, Person, get_job, is_known
from scraping.sessions.scrape import close_abandoned_sessions

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

# Sent with ``run`` when the safety cap has stopped it. The mail to ALERT_EMAILS below is one receiver; connect yours.
run_blocked = Signal()

# When so much of its time limit is over, a job goes on as its next attempt, at its next checkpoint.
HAND_ON_SHARE = 0.8
# How long a worker goes on trying to write how a run ended: a read-only database, a lock or a full disk may pass.
UNWRITTEN_SECONDS = 600.0

# A one-off that could not do its work, because something else was at it, is tried again after so long.
ONE_OFF_AGAIN = timedelta(minutes=1)


class NotPossible(Exception):
    """The run's state does not allow that; the message says why."""


class PlanExpired(NotPossible):
    """The plan was too old to be approved; the run makes a new one."""


# --- Requesting ------------------------------------------------------------------------------


def request_run(
    *,
    job: str,
    trigger: str,
    by: Person | None = None,
    dry_run: bool = False,
    params: Mapping[str, Any] | None = None,
    shown: Mapping[str, Any] | None = None,
    force_reason: str = "",
    send: bool = True,
) -> JobRun:
    """Write down that a job shall run, and publish its message once that is committed.

    Args:
        job: its slug.
        trigger: a JobRun.Trigger.
        by: who asks; None for the system itself and for whoever has a shell.
        dry_run: plan only.
        params: by name, checked by the job.
        shown: the plan that they saw (``shown_by_run``, ``mandate.shown``), 15 minutes old at most.
        force_reason: why the run shall not stop at the safety cap; takes the permission to approve.
        send: False when the caller performs the run itself.

    Raises:
        UnknownJob, InvalidParams, PermissionDenied.
    """
    declared = get_job(job)
    cleaned = declared.clean(params)
    if by is not None:
        declared.require(by, cleaned)
    mandate = decisions.mandate_asked_for(by=by, shown=shown, force_reason=force_reason)
    with transaction.atomic():
        run = JobRun.objects.create(
            job=job,
            trigger=trigger,
            requested_by=by if isinstance(by, User) else None,
            requested_by_name=by.get_username() if by else "",
            dry_run=dry_run,
            params=cleaned,
            mandate=mandate.as_json() if mandate else None,
            # A dry run only looks: it may run beside the real one.
            concurrency_key="" if dry_run else declared.concurrency_key(cleaned),
        )
        decisions.record_request(run, by=by, shown=shown)
        if send:
            transaction.on_commit(lambda: publish(run))
    return run


def slot_run(*, schedule: PeriodicTask, job: Job, slot: datetime) -> JobRun:
    """Return the (unsaved) run of one slot: QUEUED, or FAILED where the schedule's parameters cannot be used."""
    now = clock.now()
    run = JobRun(
        job=job.slug,
        trigger=JobRun.Trigger.SCHEDULE,
        schedule=schedule,
        schedule_name=schedule.name,
        scheduled_for=slot,
        queued_at=now,
    )
    try:
        run.params = job.clean_stored(schedule.kwargs)
    except InvalidParams as error:
        run.status, run.finished_at = JobRun.Status.FAILED, now
        run.error = _("The schedule's parameters cannot be used: %(error)s") % {"error": error.text}
    else:
        run.concurrency_key = job.concurrency_key(run.params)
    return run


class Overlaps:
    """Which runs are in the way of others: those open in the ledger, and those added since."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._open: dict[str, list[JobRun]] = {}
        in_the_way = JobRun.objects.open().filter(concurrency_key__in={*keys} - {""}, dry_run=False)
        # What waits for its retry has come to an end once: no slot is left out for it.
        in_the_way = in_the_way.exclude(
            status=JobRun.Status.QUEUED, retry_of__status__in=FAILURES, not_before__gt=clock.now()
        )
        # One that waits for a person is in nobody's way: a newer run supersedes it.
        in_the_way = in_the_way.exclude(status=JobRun.Status.BLOCKED)
        for run in in_the_way.only("pk", "status", "concurrency_key", "params").order_by("pk"):
            self._open.setdefault(run.concurrency_key, []).append(run)

    def add(self, run: JobRun, policy: str) -> None:
        """Apply the overlap policy to a QUEUED unsaved run: SKIPPED where an earlier one is in its way.

        One with other parameters does other work: the run waits for it.
        """
        open_ones = self._open.setdefault(run.concurrency_key, []) if run.concurrency_key else []
        earlier = [one for one in open_ones if one.params == run.params]
        if policy == ScheduleControl.OverlapPolicy.QUEUE_ONE:
            earlier = [one for one in earlier if one.status == JobRun.Status.QUEUED]
        if earlier:
            run.status, run.reason = JobRun.Status.SKIPPED, JobRun.Reason.OVERLAP
            run.finished_at = run.queued_at
            run.message = (
                _("Run #%(id)s was not finished.") % {"id": earlier[0].pk}
                if earlier[0].pk
                else _("An earlier run was not finished.")
            )
        else:
            self.add_unconditionally(run)

    def add_unconditionally(self, run: JobRun) -> None:
        """Let the run wait for its turn, and be in the way of those behind it."""
        self._open.setdefault(run.concurrency_key, []).append(run)


def request_next_attempt(run: JobRun, *, not_before: datetime | None = None) -> JobRun:
    """Write down the attempt that resumes an interrupted run from its cursor; there is at most one."""
    # Whoever deleted them during the run has left null in its row.
    # And a batch that was undone has left its cursor in this process's memory.
    run.refresh_from_db(fields=["schedule", "requested_by", "cursor", "plan"])
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
            "plan": run.plan,
            "mandate": run.mandate,
            "waiting_since": run.waiting_since,
            "attempt": run.attempt + 1,
            "not_before": not_before,
        },
    )
    if created:
        transaction.on_commit(lambda: publish(attempt))
    return attempt


def publish(run: JobRun) -> bool:
    """Send the message that makes a worker look at this run. False: not now; recovery will send it.

    Not now: its time has not come, the broker is away, or only a newer or older process than this one knows the job.
    """
    return publish_all([run]) == 1


def publish_all(runs: Sequence[JobRun]) -> int:
    """Send the messages of these runs, as far as the broker takes them at once; return how many went.

    Never waits long for the broker (``ledger.publishing``): what was not sent is sent by recovery.
    """
    ready = [run for run in runs if is_known(run.job) and run.is_due]
    number = publishing.send([publishing.Message(get_job(run.job).task_name, [run.pk]) for run in ready])
    JobRun.mark_sent(ready[:number])
    return number


def publish_next(concurrency_key: str) -> None:
    """Send the message of the run that has waited longest behind this key."""
    # open(), which a queued run is, names the index.
    queued = JobRun.objects.open().may_start().filter(concurrency_key=concurrency_key)
    waiting = queued.order_by("id").only("job", "not_before").first()
    if waiting:
        publish(waiting)


# --- Performing ------------------------------------------------------------------------------


def worker_name() -> str:
    """Return the name by which this process owns its run."""
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
    """Claim the run and do its work. False: it was not to be had (claimed, cancelled, gone, or its job is running).

    Of ``run`` only the key and the job need be known: the claim reads the rest.
    Whatever happens, the row says so: an exception of the job is recorded and then raised again.

    Args:
        run: whose turn it is.
        worker: the name of this process.
        stopping: whether the process is to stop.
        listener: hears of progress.
        hands_on: whether to leave the rest to another attempt when most of the job's time limit is over; else the limit
            counts from checkpoint to checkpoint.
        kill: ends the process of a run that hangs.
    """
    job = get_job(run.job)
    if not run.claim(worker=worker or worker_name()):
        return False

    def surroundings() -> JobContext:
        return JobContext(
            run=run,
            params=run.params,
            terms=job.terms(run.params),
            dry_run=run.dry_run,
            stopping=stopping,
            listener=listener,
            on_plan=supersede_blocked,
            hands_on_after=job.time_limit * HAND_ON_SHARE if hands_on else None,
            keeps_its_place=job.keeps_its_place,
        )

    context = once_it_answers(surroundings, for_seconds=UNWRITTEN_SECONDS, give_up=stopping)
    try:
        with Heartbeat(
            context,
            limit=job.time_limit,
            from_checkpoint=not hands_on,
            end=lambda reason, where: _end_by_force(job, run, reason, where),
            kill=kill,
        ):
            _execute(job, run, context)
    finally:
        if run.concurrency_key:
            publish_next(run.concurrency_key)
    return True


def _execute(job: Job, run: JobRun, context: JobContext) -> None:
    try:
        if isinstance(run.params, Unreadable):  # without them it would do something else
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
        elif cause_of(failure) or isinstance(failure, OperationalError | InterfaceError):
            # A restart, a lock not granted, a full disk: nothing that the job did wrong.
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
    """End a run whose job has said how it went; perhaps it is tried again soon."""
    again = _write(context, lambda: retry_at(run, job.retries)) if is_transient else None
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
    """End an attempt before its work is done; the verdict says whether there is another one.

    ``is_abrupt``: it ended elsewhere than at a checkpoint, perhaps in the middle of a transaction.
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
    """End a run whose job hangs, from beside it: nothing but the row tells how far it is."""
    row = JobRun.objects.running().filter(pk=run.pk, worker=run.worker).first()
    if row is None:
        return False
    if reason == JobRun.Reason.OPERATOR:
        error = _("It was stopped by force: its process was killed.")
        ended = row.finish(JobRun.Status.CANCELLED, reason=reason, error=error, traceback=where)
        close_abandoned_sessions()
        return ended
    limit = {"limit": f"{job.time_limit.total_seconds():,.0f}"}
    error = _("It took longer than its time limit of %(limit)s s without reaching a checkpoint.") % limit
    verdict = judge(row, reason=reason, cursor=row.cursor, error=error)
    with transaction.atomic():
        ended = row.finish(verdict.status, reason=verdict.reason, error=verdict.error, traceback=where)
        if ended and verdict.goes_on:
            request_next_attempt(row, not_before=verdict.not_before)
    close_abandoned_sessions()
    return ended


def _write(context: JobContext, write: Callable[[], Result]) -> Result:
    """Write how a run ended, as soon as the database takes it: else it would look as if its worker was lost."""
    return once_it_answers(write, for_seconds=UNWRITTEN_SECONDS, give_up=context.is_stopping)


def _skip(run: JobRun, context: JobContext) -> None:
    """End a run that its job will not do now; that of a one-off is done later, as there is no other slot to do it."""
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
        # One statement is a transaction already.
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


# --- Looking ahead, intervening --------------------------------------------------------------


class Preview(NamedTuple):
    """What a run would do now."""

    # As a run would keep it.
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
    context = JobContext(run=None, params=cleaned, terms=declared.terms(cleaned), dry_run=True)
    declared.function(context)
    return Preview(context.plan_as_json(), context.plan, context.would_wait_for)


def cancel_run(run: JobRun, *, by: Person) -> None:
    """Cancel a queued run at once, a running one at its next checkpoint.

    Raises:
        PermissionDenied; NotPossible when the run is over.
    """
    if not _may(by, "maintenance.cancel_jobrun"):
        raise PermissionDenied(_("You may not cancel runs."))
    message = _("Cancelled by %(name)s.") % {"name": by.get_username()}
    with transaction.atomic():
        if run.cancel_queued(message=message) or run.ask_to_cancel():
            decisions.record_decision(decisions.CANCELLED, run, by=by)
            return
    run.refresh_from_db()
    raise NotPossible(_("%(run)s is %(status)s.") % {"run": run, "status": run.get_status_display()})


def force_stop_run(run: JobRun, *, by: Person) -> None:
    """Have the process killed that works on a run which was cancelled and reaches no checkpoint; only that process.

    Raises:
        PermissionDenied; NotPossible when the run is over, or was not cancelled at least 30 seconds ago.
    """
    if not _may(by, "maintenance.cancel_jobrun"):
        raise PermissionDenied(_("You may not cancel runs."))
    run.refresh_from_db()
    if run.status == JobRun.Status.RUNNING and not run.may_be_forced and run.force_stop_at is None:
        seconds = {"seconds": round(FORCE_STOP_AFTER.total_seconds())}
        raise NotPossible(_("Cancel it first, and give it %(seconds)s seconds to stop by itself.") % seconds)
    with transaction.atomic():
        if not run.ask_to_force_stop():
            status = run.get_status_display()
            raise NotPossible(_("%(run)s is %(status)s.") % {"run": run, "status": status})
        text = _("%(name)s has it stopped by force.") % {"name": by.get_username()}
        RunLogLine.objects.create(run=run, level=RunLogLine.Level.WARNING, text=text)
        decisions.record_decision(decisions.STOPPED_BY_FORCE, run, by=by)


def approve_run(run: JobRun, *, by: Person, reason: str, plan_at: str | None = None) -> None:
    """Let a BLOCKED run delete what its plan says.

    ``plan_at``: when the plan was made that the person has seen, as the plan says it.

    Raises:
        PermissionDenied; NotPossible when it is not blocked, or was planned anew since; PlanExpired.
    """
    if not decisions.may_decide(by):
        raise PermissionDenied(_("You may not approve runs."))
    decisions.refuse_own(run, by=by)
    if plan_at is not None and plan_at != (run.plan or {}).get("at", ""):
        raise NotPossible(_("%(run)s was planned anew meanwhile: look at the plan again.") % {"run": run})
    if run.status != JobRun.Status.BLOCKED:
        raise NotPossible(_("%(run)s is not blocked.") % {"run": run})
    is_expired = decisions.is_plan_expired(run)
    mandate = run.mandate if is_expired else decisions.approval_of(run, by=by, reason=reason).as_json()
    message = (
        _("The plan was more than a day old when %(name)s approved it: it is planned again.")
        if is_expired
        else _("Approved by %(name)s: %(reason)s")
    ) % {"name": by.get_username(), "reason": reason}
    with transaction.atomic():
        if not run.approve(mandate=mandate, message=message):
            raise NotPossible(_("%(run)s is not blocked.") % {"run": run})
        verb = decisions.PLAN_EXPIRED if is_expired else decisions.APPROVED
        decisions.record_decision(verb, run, by=by, reason=reason)
        transaction.on_commit(lambda: publish(run))
    if is_expired:
        raise PlanExpired(
            _("The plan of %(run)s is more than a day old. It is planned again: look at the new plan.")
            % {"run": run}
        )


def reject_run(run: JobRun, *, by: Person, reason: str) -> None:
    """End a BLOCKED run without doing its work.

    Raises:
        PermissionDenied; NotPossible when it is not blocked.
    """
    if not decisions.may_decide(by):
        raise PermissionDenied(_("You may not reject runs."))
    message = _("Rejected by %(name)s: %(reason)s") % {"name": by.get_username(), "reason": reason}
    with transaction.atomic():
        if not run.reject(message=message):
            raise NotPossible(_("%(run)s is not blocked.") % {"run": run})
        decisions.record_decision(decisions.REJECTED, run, by=by, reason=reason)


@receiver(run_blocked)
def mail_blocked_run(*, run: JobRun, **_kwargs: Any) -> None:
    """Tell ALERT_EMAILS, if there are any, that a run waits for a decision, in each language of the console."""
    if not settings.ALERT_EMAILS:
        return
    # An address tells no language, and the worker's is nobody's: first the console's own, then the others.
    languages = sorted(dict(settings.LANGUAGES), key=lambda code: code != settings.LANGUAGE_CODE)
    subjects, bodies = [], []
    for language in languages:
        with translation.override(language):
            # Plain texts: a message would follow whichever language is active when it is copied.
            subjects.append(str.__str__(_("%(run)s waits for approval") % {"run": run}))
            bodies.append(f"{subjects[-1]}\n\n{run.message}")
    try:
        send_mail(
            subjects[0],
            "\n\n".join(bodies),
            settings.SERVER_EMAIL,
            settings.ALERT_EMAILS,
        )
    except OSError:
        logger.exception("No mail about %s could be sent.", run)


def _may(user: Person, permission: str) -> bool:
    return user.is_active and user.has_perm(permission)


def would_do(run: JobRun) -> str | None:
    """Return what a real run would have done when a dry run ended: ``run`` or ``block``; None for a real one."""
    if not run.dry_run or run.status != JobRun.Status.SUCCEEDED:
        return None
    return str((run.plan or {}).get("would", "run"))


def totals(run: JobRun) -> dict[str, int]:
    """Return the rows that a run has deleted in all its attempts up to this one, by label."""
    gone = run.cursor.get(GONE) if isinstance(run.cursor, dict) else None
    return dict(gone) if isinstance(gone, dict) else {}


def as_json(run: JobRun) -> dict[str, Any]:
    """Return the run as the API and ``--json`` show it; times are ISO 8601, durations seconds, texts English.

    Beside a text that has a code stand its parts: the code and the parameters.
    """

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
        "not_before": iso(run.not_before),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "waiting_since": iso(run.waiting_since) if run.status == JobRun.Status.BLOCKED else None,
        "duration_seconds": run.duration.total_seconds() if run.duration is not None else None,
        "worker": run.worker or None,
        "attempt": run.attempt,
        "retry_of": run.retry_of_id,
        "progress": {
            "done": run.progress_done,
            "total": run.progress_total,
            **_text("stage", run.stage),
        },
        "counts": run.counts,
        "plan": run.plan,
        "would": would_do(run),
        "mandate": run.mandate,
        "totals": totals(run),
        **_text("message", run.message),
        **_text("error", run.error),
    }


def _text(name: str, text: str) -> dict[str, Any]:
    return {name: english_of(text), name + SUFFIX: parts_of(text)}
