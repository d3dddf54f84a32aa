"""One Celery task a job, made from the registry; its message carries nothing but the run's id."""

import time
from typing import Any

import billiard
from billiard.sharedctypes import RawValue
from celery import shared_task, signals
from celery.exceptions import Reject
from django.conf import settings
from django.db import close_old_connections

from maintenance import runs
from maintenance.models import JobRun
from maintenance.registry import Job, jobs

# Shared before the pool forks, so that the children see when the main process is told to stop; Celery itself
# tells a busy child nothing. A bare byte, no Event: a child killed inside an Event's lock would hang the rest.
_stopping = RawValue("b", 0)

# A run that works longer goes on as its next attempt, well before Celery's time limit kills its process.
HAND_BACK_SECONDS = 0.8 * settings.CELERY_TASK_TIME_LIMIT


@signals.worker_shutting_down.connect
def _tell_the_children(**_: Any) -> None:
    _stopping.value = 1


def _register(job: Job) -> None:
    @shared_task(name=job.task_name, bind=True)
    def task(self: Any, run_id: int) -> None:
        if _stopping.value:
            raise Reject("This worker is stopping.", requeue=True)  # it would only hand the run back
        until = time.monotonic() + HAND_BACK_SECONDS
        if not self.request.is_eager:
            close_old_connections()
        runs.perform(
            JobRun(pk=run_id, job=job.slug),  # the claim reads the rest of it
            worker=f"{self.request.hostname}:{billiard.current_process().pid}",
            stopping=lambda: bool(_stopping.value) or time.monotonic() > until,
        )


for _job in jobs():
    _register(_job)
