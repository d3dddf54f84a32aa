"""What a schedule starts: a job of ours, a job that is gone, or somebody else's task."""

import json
from functools import lru_cache

from celery import current_app
from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask

from database.messages import gettext as _
from maintenance.registry import TASK_PREFIX, job_of_task

# What says how a message travels. A run of ours is its row: its message may be sent again, by recovery, by another
# process, for another attempt, and carries nothing but the run's number.
MESSAGE_FIELDS = ("queue", "exchange", "routing_key", "priority", "headers", "expire_seconds", "args")


def slug_of(task: PeriodicTask) -> str | None:
    """Return the name under which the schedule's slots are written down; None: the task is somebody else's.

    A job that was removed or renamed, and a task that no worker of ours knows and that goes to our queue all the
    same, would fire into nothing: their slots are written down too.
    """
    if task.task.startswith(TASK_PREFIX):
        return str(task.task.removeprefix(TASK_PREFIX))
    return None if _is_somebody_elses(task) else str(task.task)[:100]


def is_gone(task: PeriodicTask) -> bool:
    """Whether nobody can perform what the schedule starts."""
    return job_of_task(task.task) is None and slug_of(task) is not None


def no_such_job(task: PeriodicTask) -> str:
    """Return what to say of a schedule whose job is gone."""
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
    """Know what the workers know; only they and beat do so at their start."""
    current_app.loader.import_default_modules()


def ignored_fields(task: PeriodicTask) -> list[str]:
    """Return the fields of a schedule of ours that have no effect, because they describe its message."""
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
    """Raise ValidationError, field by field, for what would have no effect."""
    errors = {
        name: _(
            "A job of this console does not take %(name)s: leave it empty. Its runs are rows, which any worker performs."
        )
        % {"name": name}
        for name in ignored_fields(task)
    }
    if errors:
        raise ValidationError(errors)
