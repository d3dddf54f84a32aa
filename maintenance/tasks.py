"""One Celery task a job, made from the registry; its message carries nothing but the run's id."""

from typing import Any

import billiard
from celery import shared_task, signals
from celery.exceptions import Reject

from maintenance import runs
from maintenance.models import JobRun
from maintenance.registry import Job, jobs

# Made before the pool forks, so that the children see it set when the main process is told to stop;
# Celery itself tells a busy child nothing.
_stopping = billiard.Event()


@signals.worker_shutting_down.connect
def _tell_the_children(**_: Any) -> None:
    _stopping.set()


def _register(job: Job) -> None:
    @shared_task(name=job.task_name, bind=True)
    def task(self: Any, run_id: int) -> None:
        if _stopping.is_set():
            raise Reject("This worker is stopping.", requeue=True)  # it would only hand the run back
        run = JobRun.objects.filter(pk=run_id).first()
        if run is not None:  # None: its row was deleted while the message waited
            runs.perform(
                run,
                worker=f"{self.request.hostname}:{billiard.current_process().pid}",
                stopping=_stopping.is_set,
            )


for _job in jobs():
    _register(_job)
