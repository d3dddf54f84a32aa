"""How long an attempt of a run may take, and how often it is tried again: its schedule's values, or its job's."""

from datetime import timedelta

from maintenance.models import JobRun
from maintenance.registry import Job

# Before each retry that a schedule gives to a job that declares none.
RETRY_AFTER = timedelta(minutes=5)
# Celery's own limit is for a job that hangs in C code, where not even the heartbeat thread can kill it.
DEEP_HANG_SECONDS = 60


def time_limit_of(job: Job, run: JobRun) -> timedelta:
    """Return how long one attempt of the run may take."""
    return job.time_limit if run.time_limit_seconds is None else timedelta(seconds=run.time_limit_seconds)


def retries_of(job: Job, run: JobRun) -> tuple[timedelta, ...]:
    """Return the delays before the run's retries; more retries than the job declares repeat its last delay."""
    if run.retries is None:
        return job.retries
    delays = job.retries or (RETRY_AFTER,)
    return tuple(delays[min(number, len(delays) - 1)] for number in range(run.retries))


def broker_limit_of(run: JobRun) -> int | None:
    """Return the seconds after which Celery kills the process, for the run's message; None: as the task declares."""
    return None if run.time_limit_seconds is None else run.time_limit_seconds + DEEP_HANG_SECONDS
