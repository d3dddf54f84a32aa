"""Sends the messages of runs: decides which may be sent now, and to which task."""

from collections.abc import Sequence
from functools import partial

from django.db.models import Case, When

from database import trace_points
from maintenance.ledger import publishing
from maintenance.ledger.limits import broker_limit_of
from maintenance.models import JobRun
from maintenance.registry import get_job, is_known

# Two of the steps of Celery's Redis transport (0, 3, 6, 9), of which it takes the lowest first: what a person, a command
# or the API asked for goes before what a schedule asked for. All attempts of a run keep its priority.
ASKED_PRIORITY, SCHEDULED_PRIORITY = 0, 6


def publish(run: JobRun) -> bool:
    """Send the message that makes a worker look at this run. False: it cannot be sent now; recovery will send it.

    That is so if its time has not come, the broker does not answer, or only another release knows the job.
    """
    return publish_all([run]) == 1


def publish_all(runs: Sequence[JobRun]) -> int:
    """Send the messages of these runs that the broker accepts at once; return how many were sent.

    Never waits long for the broker (``ledger.publishing``): what was not sent is sent by recovery.
    """
    ready = [run for run in runs if is_known(run.job) and run.is_due]
    number = publishing.send([_message(run) for run in ready])
    JobRun.mark_sent(ready[:number])
    return number


def _message(run: JobRun) -> publishing.Message:
    job = get_job(run.job)
    return publishing.Message(
        job.task_name,
        [run.pk],
        queue=job.queue,
        priority=SCHEDULED_PRIORITY if run.scheduled_for else ASKED_PRIORITY,
        time_limit=broker_limit_of(run),
    )


def publish_next(concurrency_key: str) -> None:
    """Send the message of the run that is next behind this key: what somebody asked for, then what waited longest."""
    # A queued run is open anyway; open() makes the database use the index.
    queued = JobRun.objects.open().may_start().filter(concurrency_key=concurrency_key)
    in_turn = queued.order_by(Case(When(scheduled_for=None, then=0), default=1), "id")
    waiting = in_turn.only("job", "not_before", "scheduled_for", "time_limit_seconds").first()
    if waiting:
        trace_points.apart(partial(publish, waiting))  # it is not part of the trace of the run that ended
