"""What the leading scheduler puts right every few seconds: lost workers, lost messages, ended pauses.

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

from database import clock
from database.messages import gettext as _
from maintenance.ledger import dispatch, publishing, requests
from maintenance.ledger.attempts import judge
from maintenance.models import JobRun
from maintenance.registry import is_known
from maintenance.scheduling import edits, maintenance_mode
from maintenance.scheduling.slots import AHEAD
from scraping.sessions.abandoned import close_abandoned_sessions

logger = logging.getLogger(__name__)

# Six heartbeats missed: the worker is gone, or so stuck that its claim is taken away (it is fenced).
SILENT_HEARTBEATS = 6
# A message on its way needs this long at most before a look at the queue tells that it is lost.
UNSENT_SECONDS = 5.0
UNCLAIMED_SECONDS = 10.0
# After so long it is sent again although others wait in the queue.
DOUBTFUL_SECONDS = 600.0
# Messages of one sweep: the lease must outlive it.
REPUBLISHED_MAX = 500
# While a deploy rolls out, a newer process may request a job that this one does not know.
UNKNOWN_JOB_GRACE = timedelta(days=1)


def sweep(*, judge_workers: bool = True) -> None:
    """Put right what can be; cheap when all is well (a few small queries on what is open).

    ``judge_workers``: False while their silence says nothing, because the database was away.
    """
    now = clock.database_now()
    steps: list[Callable[[], object]] = [
        partial(pull_back_the_future, now),
        *([interrupt_lost_runs] if judge_workers else []),
        republish,
        partial(edits.resume_ended_pauses, now),
        partial(maintenance_mode.end_when_due, now),
    ]
    for step in steps:
        try:
            step()
        except (OperationalError, InterfaceError):
            raise  # the database is away: so it is for the other steps
        except Exception:
            logger.exception("A step of the recovery failed; the others go on.")


def pull_back_the_future(now: datetime) -> None:
    """Let heartbeats and messages of a clock that was ahead, and was set back since, count from now.

    Else a worker that died then would be believed to live, and its job to run, for as long as the clock was ahead.
    """
    ahead = now + AHEAD
    for rows, name in (
        (JobRun.objects.running().filter(heartbeat_at__gt=ahead), "heartbeat_at"),
        (JobRun.objects.queued().filter(sent_at__gt=ahead), "sent_at"),
    ):
        if rows.exists():  # as a rule not, and on SQLite even an UPDATE of nothing takes the only lock
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
    told = {"worker": run.worker, "moment": f"{run.heartbeat_at:%Y-%m-%d %H:%M:%S}"}
    verdict = judge(
        run,
        reason=JobRun.Reason.WORKER_LOST,
        cursor=run.cursor,
        error=_("Worker %(worker)s was lost: no heartbeat since %(moment)s UTC.") % told,
    )
    ended = run.mark_lost(
        silent_for=_silent_seconds(), status=verdict.status, reason=verdict.reason, error=verdict.error
    )
    if not ended:
        return  # it was alive after all
    logger.warning("%s: worker %s was lost", run, run.worker)
    if verdict.goes_on:
        requests.request_next_attempt(run, not_before=verdict.not_before)
    elif run.concurrency_key:
        transaction.on_commit(lambda: dispatch.publish_next(run.concurrency_key))


def republish() -> int:
    """Send the messages of queued runs that were never sent, or got lost; return how many were sent."""
    now = clock.database_now()
    could_start = JobRun.objects.could_start().order_by("pk")
    # Requested a while ago; or later than now, by a host whose clock is ahead.
    a_while = timedelta(seconds=UNSENT_SECONDS)
    requested = Q(queued_at__lt=now - a_while) | Q(queued_at__gt=now + a_while)
    waiting = list(could_start.filter(requested, sent_at__isnull=True)[:REPUBLISHED_MAX])
    unclaimed = could_start.filter(sent_at__lt=now - timedelta(seconds=UNCLAIMED_SECONDS))
    # Where messages wait, the workers are busy: what was sent is still in the queue and needs no second message.
    # Where the broker does not answer, its queue cannot tell; nor would it take a message.
    if unclaimed.exists() and publishing.messages_waiting():
        # Or it is lost all the same. A doubled message harms nothing.
        unclaimed = unclaimed.filter(sent_at__lt=now - timedelta(seconds=DOUBTFUL_SECONDS))
    waiting += unclaimed[:REPUBLISHED_MAX]
    for run in waiting:
        # A newer deploy may know it. This process must not decide that too soon.
        if not is_known(run.job) and now - run.queued_at > UNKNOWN_JOB_GRACE:
            error = _("There is no job %(job)s.") % {"job": run.job}
            run.fail_queued(reason=JobRun.Reason.UNKNOWN_JOB, error=error)
    return dispatch.publish_all(waiting)
