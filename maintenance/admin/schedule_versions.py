"""Tells whether a schedule is still as a page showed it, for changes of many at once.

The page carries the versions of all of them in one field, because Django takes 1,000 fields and there may be 10,000
schedules: 20 bytes each. Which schedules are meant, the filters of the list say.
"""

import json
from collections.abc import Iterable
from hashlib import sha256

from django.http import QueryDict
from django_celery_beat.models import PeriodicTask

from maintenance.models.schedules import POLICY_FIELDS
from maintenance.scheduling import schedules
from maintenance.scheduling.timing import Timing

FIELD = "seen"
# Of 32 bits: that an edited schedule has the same by chance happens once in four billion times.
DIGITS = 8


def version_of(task: PeriodicTask) -> str:
    """Return a text that differs if anything that people change was changed; not after a run."""
    control = schedules.control_or_default(task)
    until = control.paused_until
    state = [
        task.name,
        task.task,
        task.kwargs,
        task.description,
        task.one_off,
        str(Timing.of(task)),
        str(control.pause_reason),
        until.isoformat() if until else None,
        [getattr(control, name) for name in POLICY_FIELDS],
    ]
    return sha256(json.dumps(state).encode()).hexdigest()[:DIGITS]


def shown(tasks: Iterable[PeriodicTask]) -> str:
    """Return the value of the hidden field of a page that stands for these schedules."""
    return " ".join(f"{task.pk}:{version_of(task)}" for task in tasks)


def posted(data: QueryDict) -> dict[int, str]:
    """Return the version of each schedule as the page that was posted showed it."""
    found = (one.partition(":") for one in data.get(FIELD, "").split())
    return {int(key): version for key, _mark, version in found if key.isdecimal()}
