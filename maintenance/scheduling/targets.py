"""What a schedule starts: a job of ours, a removed job, or another task of Celery."""

import json
from functools import lru_cache

from celery import current_app
from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask

from database.messages import gettext as _
from maintenance.registry import TASK_PREFIX, job_of_task

# The fields that describe a message. They have no effect on our runs: a run is its row, and its message, which
# carries only the run's number, may be sent again by recovery, by another process, or for another attempt.
MESSAGE_FIELDS = ("queue", "exchange", "routing_key", "priority", "headers", "expire_seconds", "args")


def slug_of(task: PeriodicTask) -> str | None:
    """Return the slug under which the schedule's slots are recorded; None: the task is no job of ours.

    The slots of a removed or renamed job are recorded too, and those of an unknown task that is sent to our queue:
    no worker could perform them.
    """
    if task.task.startswith(TASK_PREFIX):
        return str(task.task.removeprefix(TASK_PREFIX))
    return None if _is_somebody_elses(task) else str(task.task)[:100]


def group_of_task(name: str) -> str:
    """Return the group of the job that the task performs; empty: it has none, or is no job of ours."""
    job = job_of_task(name)
    return job.group if job is not None else ""


def title_of_task(name: str) -> str:
    """Return the title of the job that the task performs; the name of a task that is no job of ours."""
    job = job_of_task(name)
    return job.title if job is not None else name


def is_gone(task: PeriodicTask) -> bool:
    """Whether no worker can perform what the schedule starts."""
    return job_of_task(task.task) is None and slug_of(task) is not None


def no_such_job(task: PeriodicTask) -> str:
    """Return the error text for a schedule whose job is gone."""
    return _(
        "No such job: %(job)s. It was removed or renamed: give the schedule another job, or delete it."
    ) % {"job": slug_of(task)}


def _is_somebody_elses(task: PeriodicTask) -> bool:
    if task.queue or task.exchange or task.routing_key or current_app.conf.task_routes:
        return True  # its message goes to workers that are not ours
    _import_tasks()
    return task.task in current_app.tasks


@lru_cache(maxsize=1)
def _import_tasks() -> None:
    """Import the tasks that the workers know; only they and beat do so when they start."""
    current_app.loader.import_default_modules()


def ignored_fields(task: PeriodicTask) -> list[str]:
    """Return the set fields of one of our schedules that have no effect, because they describe its message."""
    if job_of_task(task.task) is None:
        return []
    return [name for name in MESSAGE_FIELDS if _says_something(getattr(task, name))]


def _says_something(value: object) -> bool:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return True
        return value not in (None, "", [], {})
    return value is not None


def refuse_ignored_fields(task: PeriodicTask) -> None:
    """Raise a ValidationError that names each field which would have no effect."""
    errors = {
        name: _(
            "A job of this console does not take %(name)s: leave it empty. Its runs are rows, which any worker performs."
        )
        % {"name": name}
        for name in ignored_fields(task)
    }
    if errors:
        raise ValidationError(errors)
