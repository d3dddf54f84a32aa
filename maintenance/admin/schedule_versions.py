"""Tells whether a schedule is still as a page showed it, for changes of many at once."""

import json
from collections.abc import Iterable
from hashlib import sha256

from django.http import QueryDict
from django_celery_beat.models import PeriodicTask

from maintenance.models import JobRun
from maintenance.models.schedules import POLICY_FIELDS
from maintenance.scheduling import schedules
from maintenance.scheduling.timing import Timing

FIELD = "seen"


def version_of(task: PeriodicTask) -> str:
    """Return a text that differs if anything that people change was changed; not after a run."""
    control = schedules.control_or_default(task)
    until = control.paused_until
    state = [
        task.name,
        task.task,
        task.kwargs,
        str(Timing.of(task)),
        str(control.pause_reason),
        until.isoformat() if until else None,
        [getattr(control, name) for name in POLICY_FIELDS],
    ]
    return sha256(json.dumps(state).encode()).hexdigest()[:20]


def shown(tasks: Iterable[PeriodicTask]) -> list[str]:
    """Return the values of the hidden fields of a page that shows these schedules."""
    return [f"{task.pk}:{version_of(task)}" for task in tasks]


def was_shown(data: QueryDict, task: PeriodicTask) -> bool:
    """Whether the page that was posted had shown the schedule as it is now."""
    return f"{task.pk}:{version_of(task)}" in data.getlist(FIELD)


def locked(task: PeriodicTask) -> PeriodicTask | None:
    """Lock the schedule as a tick and a deletion do, and return it as it is now; None if it is gone."""
    # Its open runs first: a worker that hands a run back locks the run and then the schedule.
    runs = JobRun.objects.open().filter(schedule=task.pk).order_by("pk")
    list(runs.select_for_update().values_list("pk"))
    if not PeriodicTask.objects.select_for_update().filter(pk=task.pk).values_list("pk"):
        return None
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)
