"""Finds schedules of one job that come due in the same minute, and tells what happens to the second run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from adminkit.moments import with_zone
from maintenance.models import ScheduleControl
from maintenance.registry import InvalidParams, Job
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.timing import Timing

# How far ahead two schedules are compared; later collisions are not reported.
HORIZON = timedelta(days=400)
SLOTS_MAX = 2_000
OTHERS_MAX = 50


@dataclass(frozen=True)
class Collision:
    """Another schedule of the job that comes due in the same minute."""

    other: PeriodicTask
    at: datetime  # the first time, in the zone of the schedule that was asked about
    # Whether the second waits for the first; else it is skipped.
    waits: bool

    def __str__(self) -> str:
        text = (
            _(
                "“%(name)s” starts the same job in the same minute, first at %(moment)s: one waits for the other."
            )
            if self.waits
            else _(
                "“%(name)s” starts the same job with the same parameters in the same minute, first at %(moment)s:"
                " one of the two is skipped then."
            )
        )
        return text % {"name": schedules.title(self.other), "moment": with_zone(self.at, "%Y-%m-%d %H:%M")}


def collisions(task: PeriodicTask, *, now: datetime) -> list[Collision]:
    """Return the other enabled schedules of the task's job that come due in the same minute as this one."""
    job = schedules.job_of(task)
    mine = _params(job, task)
    if job is None or mine is None or not task.enabled:
        return []
    others = PeriodicTask.objects.filter(task=task.task, enabled=True).exclude(pk=task.pk).order_by("pk")
    found = []
    for other in others.select_related(*schedules.RELATED)[:OTHERS_MAX]:
        theirs = _params(job, other)
        if theirs is None or job.concurrency_key(theirs) != job.concurrency_key(mine):
            continue
        at = _first_shared_minute(task, other, now)
        if at is not None:
            waits = theirs != mine or (_queues(task) and _queues(other))
            found.append(Collision(other, at.astimezone(Timing.of(task).zone_info), waits))
    return found


def _params(job: Job | None, task: PeriodicTask) -> dict[str, object] | None:
    try:
        return job.clean_stored(task.kwargs) if job else None
    except InvalidParams:
        return None  # its runs fail at once


def _queues(task: PeriodicTask) -> bool:
    return schedules.control_or_default(task).overlap_policy == ScheduleControl.OverlapPolicy.QUEUE_ONE


def _first_shared_minute(one: PeriodicTask, other: PeriodicTask, now: datetime) -> datetime | None:
    try:
        ours, theirs = _minutes(one, now), _minutes(other, now)
        mine, yours = next(ours, None), next(theirs, None)
        for _step in range(2 * SLOTS_MAX):
            if mine is None or yours is None:
                return None
            if mine == yours:
                return mine
            if mine < yours:
                mine = next(ours, None)
            else:
                yours = next(theirs, None)
    except (InvalidSchedule, KeyError):  # one cannot fire; its time zone is unknown on this host
        pass
    return None


def _minutes(task: PeriodicTask, now: datetime) -> Iterator[datetime]:
    for slot in schedules.fire_times(task, after=now, until=now + HORIZON):
        yield slot.replace(second=0, microsecond=0)
