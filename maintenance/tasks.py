"""One Celery task per job, made from the registry; its message carries only the run's id."""

import os
import signal
from typing import Any

import billiard
from billiard.sharedctypes import RawValue
from celery import shared_task, signals
from celery.exceptions import Reject
from django.db import close_old_connections

from maintenance.ledger import performing
from maintenance.ledger.limits import DEEP_HANG_SECONDS
from maintenance.models import JobRun
from maintenance.registry import Job, jobs

# Shared memory, created before the pool forks, so that children see when the main process is told to stop; Celery
# does not tell a busy child. A byte, not an Event: a child killed inside an Event's lock would block the others.
_stopping = RawValue("b", 0)


@signals.worker_shutting_down.connect
def _tell_the_children(**_: Any) -> None:
    _stopping.value = 1


def _kill_this_child() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _register(job: Job) -> None:
    @shared_task(
        name=job.task_name, bind=True, time_limit=round(job.time_limit.total_seconds()) + DEEP_HANG_SECONDS
    )
    def task(self: Any, run_id: int) -> None:
        if _stopping.value:
            raise Reject("This worker is stopping.", requeue=True)  # it would only hand the run back
        if not self.request.is_eager:
            close_old_connections()
        performing.perform(
            JobRun(pk=run_id, job=job.slug),  # the claim reads the rest of it
            worker=f"{self.request.hostname}:{billiard.current_process().pid}",
            stopping=lambda: bool(_stopping.value),
            hands_on=True,
            kill=None if self.request.is_eager else _kill_this_child,
        )


for _job in jobs():
    _register(_job)
