"""The schedules of each job for pages that show one row for a job, and one for each schedule that differs from its default."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django_celery_beat.models import PeriodicTask

from database.slices import Bound, Each, bound, keys_of_each
from maintenance.registry import Job
from maintenance.scheduling import schedules

# More schedules of one job are shown only in the list of schedules.
SCHEDULES_OF_A_JOB: Final = 10


@dataclass(frozen=True)
class JobSchedules:
    """The first schedules of one job."""

    # The one that equals the job's default; None: there is none.
    own: PeriodicTask | None
    # Those that differ from it.
    others: Sequence[PeriodicTask]
    # The job has more schedules than these.
    has_more: bool

    @property
    def all(self) -> list[PeriodicTask]:
        """All of them."""
        return [*([self.own] if self.own else []), *self.others]


def keys_of_schedules(known: Iterable[Job]) -> list[Bound[PeriodicTask]]:
    """Return, for ``keys_of_each``, the first schedules of each job, and one more than are shown."""
    of_job = PeriodicTask.objects.filter(task=Each("task")).order_by("pk").values("pk")
    first = of_job[: SCHEDULES_OF_A_JOB + 1]
    return [bound(first, task=job.task_name) for job in known]


def schedules_of_jobs(known: Sequence[Job]) -> dict[str, JobSchedules]:
    """Return the schedules of each job, by its slug, with one query; however many there are."""
    parts = keys_of_schedules(known)
    by_task: dict[str, list[PeriodicTask]] = {job.task_name: [] for job in known}
    found = PeriodicTask.objects.filter(pk__in=keys_of_each(parts)).order_by("pk")
    for task in found.select_related(*schedules.RELATED):
        by_task[task.task].append(task)
    return {job.slug: divided(by_task[job.task_name]) for job in known}


def divided(tasks: Sequence[PeriodicTask]) -> JobSchedules:
    """Return the first schedules of a job as one that equals its default, and those that differ."""
    shown = tasks[:SCHEDULES_OF_A_JOB]
    own = next((task for task in shown if _is_as_declared(task)), None)
    return JobSchedules(own, [task for task in shown if task is not own], len(tasks) > len(shown))


def _is_as_declared(task: PeriodicTask) -> bool:
    plain = task.kwargs in ("", "{}", None) and schedules.is_default(task)
    return plain and schedules.deviation(task) is None
