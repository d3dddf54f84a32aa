"""Adds whole schedules: new ones, and copies."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import chain, count
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from audit import snapshots
from audit.admin_edits import ADDED
from audit.events import record
from database import clock
from database.messages import gettext as _
from maintenance.models.schedules import POLICY_FIELDS
from maintenance.registry import InvalidParams, Person
from maintenance.scheduling import edits, schedules, time_rows
from maintenance.scheduling.targets import MESSAGE_FIELDS
from maintenance.scheduling.timing import Timing

NAME_MAX = 200
# What a copy takes over besides the time.
COPIED = ("task", "description", "kwargs", "one_off", *MESSAGE_FIELDS)
ADD = "django_celery_beat.add_periodictask"


def create(
    values: Mapping[str, Any], time: Timing, *, by: Person | None, reason: str = "", may_be_over: bool = False
) -> PeriodicTask:
    """Add a schedule; ``values`` by column, without those of its time. It is active from now on.

    Raises:
        PermissionDenied; InvalidTime naming the field; IntegrityError if the name exists.
    """
    if by is not None and not (by.is_active and by.has_perms([ADD, edits.PERMISSION])):
        raise PermissionDenied(_("You may not add schedules."))
    time_rows.refuse(time, now=clock.now(), may_be_over=may_be_over)
    with transaction.atomic():
        task = PeriodicTask(**{"one_off": time.clocked is not None, **values}, **time_rows.columns_of(time))
        task.save()
        after = snapshots.without_secrets(PeriodicTask, snapshots.stored(task))
        record(ADDED, task, by=by, after=after, reason=reason)
    return task


def duplicate(task: PeriodicTask, *, by: Person | None) -> PeriodicTask:
    """Add a paused copy of the schedule, with a name of its own. It is not its job's default.

    Raises:
        PermissionDenied: also if the person may not run the job with these parameters.
    """
    job = schedules.job_of(task)
    if job is not None and by is not None:
        with suppress(InvalidParams):  # a run with these ends at once, whoever starts it
            job.require(by, job.clean_stored(task.kwargs))
    values = {name: getattr(task, name) for name in COPIED}
    with transaction.atomic():
        values["name"] = _name_of_copy(schedules.title(task))
        copy = create(values, Timing.of(task), by=by, may_be_over=True)
        control = schedules.control_or_default(task)
        edits.set_policies(copy, {name: getattr(control, name) for name in POLICY_FIELDS}, by=by)
        reason = _("A copy of “%(name)s” that nobody has resumed yet.") % {"name": schedules.title(task)}
        edits.pause(copy, by=by, reason=reason)
    return copy


def _name_of_copy(name: str) -> str:
    endings = chain([_("(copy)")], (_("(copy %(number)s)") % {"number": number} for number in count(2)))
    names = (f"{name[: NAME_MAX - len(ending) - 1]} {ending}" for ending in endings)
    return next(name for name in names if not PeriodicTask.objects.filter(name=name).exists())
