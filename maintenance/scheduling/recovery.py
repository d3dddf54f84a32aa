"""What the leading scheduler repairs every few seconds: lost workers, lost messages, ended pauses.

The broker and the workers may forget; the rows do not. Every requested run reaches a final state.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from adminkit.templatetags.display import moment
from database import clock
from database.messages import gettext as _
from maintenance.ledger import dispatch, publishing, requests
from maintenance.ledger.attempts import judge
from maintenance.models import JobRun, PlannedWindow
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.registry import jobs
from maintenance.scheduling import edits, failing, maintenance_mode
from maintenance.scheduling.slots import AHEAD
from scraping.sessions.abandoned import close_abandoned_sessions

logger = logging.getLogger(__name__)

# Six heartbeats missed: the worker is gone, or hangs; its claim is taken away, and its writes are refused.
SILENT_HEARTBEATS = 6
# A message needs this long at most to reach the queue; after that, an empty queue means that it is lost.
UNSENT_SECONDS = 5.0
UNCLAIMED_SECONDS = 10.0
# After this time it is sent again although others wait in the queue.
DOUBTFUL_SECONDS = 600.0
# The number of messages of one sweep, which must end before the lease does.
REPUBLISHED_MAX = 500
# During a rolling deploy, a newer process may request a job that this one does not know.
UNKNOWN_JOB_GRACE = timedelta(days=1)
# In the history of earlier releases, which named the time in UTC.
FORMER_LOST = gettext_noop("Worker %(worker)s was lost: no heartbeat since %(moment)s UTC.")


def sweep(*, judge_workers: bool = True) -> None:
    """Repair what can be repaired; cheap when all is well (a few small queries on open runs).

    ``judge_workers``: False while their silence means nothing, because the database was not reachable.
    """
    now = clock.database_now()
    steps: list[Callable[[], object]] = [
        partial(pull_back_the_future, now),
        # Before messages are sent: the next occurrence may begin at the end of this one.
        partial(PlannedWindow.objects.move_on, now),
        *([interrupt_lost_runs] if judge_workers else []),
        republish,
        partial(edits.resume_ended_pauses, now),
        failing.pause_failing,
        partial(maintenance_mode.end_when_due, now),
    ]
    for step in steps:
        try:
            step()
        except (OperationalError, InterfaceError):
            raise  # the database is not reachable, for the other steps neither
        except Exception:
            logger.exception("A step of the recovery failed; the others go on.")


def pull_back_the_future(now: datetime) -> None:
    """Set heartbeats and sending times that lie in the future to now: the clock was ahead, and was set back.

    Otherwise a worker that died then would seem alive, and its run running, for as long as the clock was ahead.
    """
    ahead = now + AHEAD
    for rows, name in (
        (JobRun.objects.running().filter(heartbeat_at__gt=ahead), "heartbeat_at"),
        (JobRun.objects.queued().filter(sent_at__gt=ahead), "sent_at"),
    ):
        if rows.exists():  # usually not, and on SQLite even an UPDATE of no rows takes the only lock
            rows.update(**{name: Now()})


def interrupt_lost_runs() -> int:
    """End the runs whose heartbeat is silent and request their next attempts; return how many."""
    lost = list(JobRun.objects.silent_for(_silent_seconds()))
    for run in lost:
        with transaction.atomic():
            _interrupt(run)
    if lost:
        close_abandoned_sessions()
    return len(lost)


def _silent_seconds() -> float:
    return float(SILENT_HEARTBEATS * settings.HEARTBEAT_SECONDS)


def _interrupt(run: JobRun) -> None:
    told = {"worker": run.worker, "moment": moment(run.heartbeat_at)}
    verdict = judge(
        run,
        reason=JobRun.Reason.WORKER_LOST,
        cursor=run.cursor,
        error=_("Worker %(worker)s was lost: no heartbeat since %(moment)s.") % told,
    )
    ended = run.mark_lost(
        silent_for=_silent_seconds(), status=verdict.status, reason=verdict.reason, error=verdict.error
    )
    if not ended:
        return  # a heartbeat came meanwhile
    logger.warning("%s: worker %s was lost", run, run.worker)
    if verdict.goes_on:
        requests.request_next_attempt(run, not_before=verdict.not_before)
    elif run.concurrency_key:
        transaction.on_commit(lambda: dispatch.publish_next(run.concurrency_key))


def _jobs_whose_messages_wait() -> list[str]:
    """Return the jobs in whose queue messages wait.

    Their workers are busy: a message that was sent is still in the queue, and needs no second one. If the broker does
    not answer, its queues are unknown, and it would not accept a message either.
    """
    waiting = publishing.waiting_by_queue() or {}
    # An earlier release sends all messages to the other queue.
    is_anywhere = waiting.get(settings.OTHER_QUEUE, 0) > 0
    return [job.slug for job in jobs() if is_anywhere or waiting.get(job.queue, 0)]


def republish() -> int:
    """Send the messages of queued runs that were never sent or got lost; return how many were sent."""
    now = clock.database_now()
    could_start = JobRun.objects.could_start().order_by("pk")
    # Runs of other jobs cannot be sent from here: they must not fill the window.
    known = could_start.filter(job__in=[job.slug for job in jobs()])
    # Requested some time ago; or in the future, by a host whose clock is ahead.
    a_while = timedelta(seconds=UNSENT_SECONDS)
    requested = Q(queued_at__lt=now - a_while) | Q(queued_at__gt=now + a_while)
    waiting = list(known.filter(requested, sent_at__isnull=True)[:REPUBLISHED_MAX])
    is_unclaimed = Q(sent_at__lt=now - timedelta(seconds=UNCLAIMED_SECONDS))
    unclaimed = known.filter(is_unclaimed)
    if unclaimed.exists():
        # It is lost nevertheless after some time. A second message does no harm.
        is_doubtful = Q(sent_at__lt=now - timedelta(seconds=DOUBTFUL_SECONDS))
        unclaimed = unclaimed.filter(~Q(job__in=_jobs_whose_messages_wait()) | is_doubtful)
    waiting += unclaimed[:REPUBLISHED_MAX]
    _fail_unknown(could_start.filter(is_unclaimed | Q(sent_at__isnull=True)), now)
    return dispatch.publish_all(waiting)


def _fail_unknown(runs: JobRunQuerySet, now: datetime) -> None:
    """End those of the runs whose job nobody knows; a newer release may know it: not too early."""
    unknown = runs.exclude(job__in=[job.slug for job in jobs()]).filter(queued_at__lt=now - UNKNOWN_JOB_GRACE)
    for run in unknown[:REPUBLISHED_MAX]:
        error = _("There is no job %(job)s.") % {"job": run.job}
        run.fail_queued(reason=JobRun.Reason.UNKNOWN_JOB, error=error)
