"""Sends the messages of runs: decides which may be sent now, and to which task."""

from collections.abc import Sequence

from maintenance.ledger import publishing
from maintenance.models import JobRun
from maintenance.registry import get_job, is_known


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
    number = publishing.send([publishing.Message(get_job(run.job).task_name, [run.pk]) for run in ready])
    JobRun.mark_sent(ready[:number])
    return number


def publish_next(concurrency_key: str) -> None:
    """Send the message of the run that has waited longest behind this key."""
    # A queued run is open anyway; open() makes the database use the index.
    queued = JobRun.objects.open().may_start().filter(concurrency_key=concurrency_key)
    waiting = queued.order_by("id").only("job", "not_before").first()
    if waiting:
        publish(waiting)
