"""The rows of the Jobs table: one for each job, and one for each schedule that differs from its job's default."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask

from console.dashboard.row_figures import Figures, Subject, figures_of
from console.needs import World
from database.slices import keys_of_each
from maintenance.admin.run_confirmation import run_url
from maintenance.models import JobRun
from maintenance.registry import Job, get_job, jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.reading import Reading, read_all

# More schedules of one job are shown only in the list of schedules; the rows of all jobs have a limit too.
SCHEDULES_OF_A_JOB = 10
ROWS_MAX = 30


@dataclass(frozen=True)
class JobRow:
    """A row of the Jobs table."""

    job: Job
    # None: the job has no schedule.
    schedule: PeriodicTask | None
    reading: Reading | None
    # Whether it represents its job; otherwise only this schedule.
    is_job: bool
    # The job has more schedules than rows.
    has_more: bool
    figures: Figures
    run_url: str | None

    @property
    def title(self) -> str:
        """The job's name, or the schedule's."""
        return self.job.title if self.is_job or self.schedule is None else schedules.title(self.schedule)

    @property
    def last_run(self) -> JobRun | None:
        """The last real run."""
        return self.figures.last

    @property
    def next_run_at(self) -> datetime | None:
        """The next fire time, in the schedule's zone."""
        return self.reading.next_run_at if self.reading else None

    @property
    def key(self) -> str:
        """An identifier of the row in the page."""
        return f"{self.job.slug}-{self.schedule.pk if self.schedule and not self.is_job else 'job'}"


@dataclass(frozen=True)
class _Draft:
    job: Job
    schedule: PeriodicTask | None
    reading: Reading | None
    is_job: bool
    has_more: bool
    # The job has no other schedule: all its runs belong to the row.
    is_whole: bool


def job_rows(world: World) -> list[JobRow]:
    """Return the rows; it reads as much with ten schedules as with 100,000."""
    drafts = _drafts(world)[:ROWS_MAX]
    addresses = _run_urls(drafts, world)
    subjects = [_subject(draft) for draft in drafts]
    figures = figures_of(list(dict.fromkeys(subjects)))
    return [
        JobRow(
            job=draft.job,
            schedule=draft.schedule,
            reading=draft.reading,
            is_job=draft.is_job,
            has_more=draft.has_more,
            figures=figures[subject],
            run_url=address,
        )
        for draft, subject, address in zip(drafts, subjects, addresses, strict=True)
    ]


def _drafts(world: World) -> list[_Draft]:
    """Return the rows of jobs with a default schedule, each followed by its other schedules, then jobs on demand."""
    known = jobs()
    by_task: dict[str, list[PeriodicTask]] = {job.task_name: [] for job in known}
    for task in _first_tasks(known):
        by_task[task.task].append(task)
    tasks = [task for some in by_task.values() for task in some[:SCHEDULES_OF_A_JOB]]
    readings = dict(zip((task.pk for task in tasks), read_all(tasks, modes=world.modes), strict=True))
    drafts = []
    for job in sorted(known, key=lambda one: one.crontab is None):
        some = by_task[job.task_name]
        has_more = len(some) > SCHEDULES_OF_A_JOB
        own, others = _split(some[:SCHEDULES_OF_A_JOB])
        if job.crontab is not None and (own is not None or not some):
            reading = readings[own.pk] if own else None
            drafts.append(_Draft(job, own, reading, True, has_more and not others, is_whole=True))
        is_whole = job.crontab is not None and len(some) == 1
        drafts += [
            _Draft(job, task, readings[task.pk], False, has_more and task is others[-1], is_whole)
            for task in others
        ]
    return drafts


def _first_tasks(known: Sequence[Job]) -> list[PeriodicTask]:
    parts = [
        PeriodicTask.objects.filter(task=job.task_name).order_by("pk").values("pk")[: SCHEDULES_OF_A_JOB + 1]
        for job in known
    ]
    found = PeriodicTask.objects.filter(pk__in=keys_of_each(parts)).order_by("pk")
    return list(found.select_related(*schedules.RELATED))


def _split(tasks: Sequence[PeriodicTask]) -> tuple[PeriodicTask | None, list[PeriodicTask]]:
    """Return the schedule that equals its job's default, and those that differ."""
    own = next((task for task in tasks if _is_as_declared(task)), None)
    return own, [task for task in tasks if task is not own]


def _is_as_declared(task: PeriodicTask) -> bool:
    plain = task.kwargs in ("", "{}", None) and schedules.is_default(task)
    return plain and schedules.deviation(task) is None


def _subject(draft: _Draft) -> Subject:
    if draft.schedule is None or draft.is_whole:
        return Subject(draft.job.slug, draft.job.title)
    return Subject(draft.job.slug, schedules.title(draft.schedule), draft.schedule.pk)


def _run_urls(drafts: Sequence[_Draft], world: World) -> list[str | None]:
    """Return the address at which the person can run each by hand; the permission is checked once per job."""
    wanted: dict[str, dict[int, dict[str, Any]]] = {}
    for number, draft in enumerate(drafts):
        params = draft.reading.params if draft.reading else {}
        if params is not None:
            wanted.setdefault(draft.job.slug, {})[number] = dict(params)
    addresses: list[str | None] = [None] * len(drafts)
    for slug, of_rows in wanted.items():
        job = get_job(slug)
        for (number, params), may in zip(
            of_rows.items(), job.may_run_each(world.person, list(of_rows.values())), strict=True
        ):
            addresses[number] = run_url(job, params) if may else None
    return addresses
