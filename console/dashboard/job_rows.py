"""The rows of the Jobs table: one for each job, and one for each schedule that differs from its job's default."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask

from console.dashboard.row_figures import Figures, Subject, figures_of
from console.needs import World
from maintenance.admin.run_confirmation import run_url
from maintenance.ledger.usual import Kind, Usual, kind_of, usual_of_kinds
from maintenance.models import JobRun
from maintenance.registry import Job, get_job, jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.job_schedules import divided
from maintenance.scheduling.reading import Reading

# More rows are shown only in the list of schedules.
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
    # Whether runs of the job that belong to no row of a schedule belong to it.
    is_whole: bool
    # The job has more schedules than rows.
    has_more: bool
    figures: Figures
    # How long its runs usually take; None: too few are known.
    usual: Usual | None
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


class JobRows(list[JobRow]):
    """The first rows, and how many more there are."""

    left_out = 0


@dataclass(frozen=True)
class _Draft:
    job: Job
    schedule: PeriodicTask | None
    reading: Reading | None
    is_job: bool
    has_more: bool
    # The job has no other schedule: all its runs belong to the row.
    is_whole: bool


def job_rows(world: World) -> JobRows:
    """Return the rows; it reads as much with ten schedules as with 100,000."""
    all_drafts = _drafts(world)
    drafts = all_drafts[:ROWS_MAX]
    addresses = _run_urls(drafts, world)
    subjects = [_subject(draft) for draft in drafts]
    kinds = [_kind(draft) for draft in drafts]
    figures = figures_of(list(dict.fromkeys(subjects)), kinds)
    usual = usual_of_kinds(kinds)
    rows = JobRows(
        JobRow(
            job=draft.job,
            schedule=draft.schedule,
            reading=draft.reading,
            is_job=draft.is_job,
            is_whole=draft.is_whole or draft.schedule is None,
            has_more=draft.has_more,
            figures=figures[subject],
            usual=takes,
            run_url=address,
        )
        for draft, subject, takes, address in zip(drafts, subjects, usual, addresses, strict=True)
    )
    rows.left_out = len(all_drafts) - len(drafts)
    return rows


def _drafts(world: World) -> list[_Draft]:
    """Return the rows of jobs with a default schedule, each followed by its other schedules, then jobs on demand."""
    by_task, readings = world.by_task, world.readings
    drafts = []
    for job in sorted(jobs(), key=lambda one: one.crontab is None):
        some = divided(by_task[job.task_name])
        own, others = some.own, some.others
        if job.crontab is not None and (own is not None or not others):
            reading = readings[own.pk] if own else None
            drafts.append(_Draft(job, own, reading, True, some.has_more and not others, is_whole=True))
        is_whole = job.crontab is not None and len(some.all) == 1
        drafts += [
            _Draft(job, task, readings[task.pk], False, some.has_more and task is others[-1], is_whole)
            for task in others
        ]
    return drafts


def _kind(draft: _Draft) -> Kind | None:
    """Return the kind of the runs that the row's schedule starts, or of the job's without parameters."""
    params = draft.reading.params if draft.reading else {}
    return kind_of(draft.job, params) if params is not None else None


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
