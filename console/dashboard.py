"""What the dashboard shows, in a number of queries that does not grow with jobs or runs."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Model
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask

from database import clock
from database.estimates import table_sizes
from maintenance import schedules, strip
from maintenance.health import scheduler_health
from maintenance.ledger.worker_health import worker_health
from maintenance.models import JobRun
from maintenance.registry import Job, jobs
from maintenance.scheduling.reading import Reading, read_all
from scraping.brake import set_aside_waiting
from scraping.compliance import coverage
from scraping.models import RedditComment, RedditPost, ScrapeSession

PERIOD = timedelta(hours=24)
FAILURES_SHOWN = 5
RUNNING_SHOWN = 3
STORED: tuple[type[Model], ...] = (RedditPost, RedditComment, ScrapeSession, JobRun)

# What counts for the rate: a run that did its work or failed at it. Cancelled, skipped and interrupted runs
# say nothing of the job's health, and an interrupted one has a next attempt that is counted.
SUCCESSES = {JobRun.Status.SUCCEEDED}
FAILURES = {JobRun.Status.FAILED, JobRun.Status.PARTIAL}


@dataclass(frozen=True)
class JobRow:
    """A line of the Jobs table."""

    job: Job
    # The oldest of its schedules; None: it has none.
    schedule: PeriodicTask | None
    reading: Reading | None
    # Of them all, the one that fires next.
    next_schedule: PeriodicTask | None
    next_reading: Reading | None
    # How many there are; counted up to schedules.NEXT_AMONG_MAX.
    number_of_schedules: int
    last_run: JobRun | None
    strip: dict[str, Any]
    may_run: bool

    @property
    def other_schedules(self) -> int:
        """How many it has besides the oldest."""
        return max(0, self.number_of_schedules - 1)

    @property
    def is_counted(self) -> bool:
        """Whether it has no more than were counted."""
        return self.number_of_schedules < schedules.NEXT_AMONG_MAX

    @property
    def next_run_at(self) -> datetime | None:
        """When a schedule of the job fires next, in its zone."""
        return self.next_reading.next_run_at if self.next_reading else None


@dataclass(frozen=True)
class Tiles:
    """The four figures at the top."""

    successes: int
    failures: int
    running: list[JobRun]
    next_row: JobRow | None

    @property
    def ended(self) -> int:
        """Runs of the last 24 hours that succeeded or failed."""
        return self.successes + self.failures

    @property
    def success_share(self) -> float | None:
        """Per cent of them that succeeded; None when there were none."""
        return round(100 * self.successes / self.ended, 1) if self.ended else None


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the dashboard's context for somebody who may see runs."""
    rows = job_rows(request)
    sizes = table_sizes(STORED)
    return {
        "tiles": tiles(rows),
        "job_rows": rows,
        "scheduler": scheduler_health(),
        "workers": worker_health(),
        "failures": JobRun.objects.filter(status=JobRun.Status.FAILED).order_by("-pk")[:FAILURES_SHOWN],
        "storage": [{"name": model._meta.verbose_name_plural, "size": size} for model, size in sizes.items()],
        "coverage": coverage(sizes),
        "set_aside": set_aside_waiting(request.user),
        "may_change_schedules": request.user.has_perm(schedules.PERMISSION),
        "jobs_by_slug": {row.job.slug: row.job for row in rows},
    }


def tiles(rows: list[JobRow]) -> Tiles:
    """Count the last 24 hours; the next run is the earliest of the schedules in force."""
    since = clock.now() - PERIOD
    by_status = Counter(
        dict(
            JobRun.objects.filter(queued_at__gte=since)
            .order_by()
            .values_list("status")
            .annotate(number=Count("pk"))
        )
    )
    due = [row for row in rows if row.next_run_at is not None]
    return Tiles(
        successes=sum(by_status[status] for status in SUCCESSES),
        failures=sum(by_status[status] for status in FAILURES),
        running=list(JobRun.objects.running().order_by("pk")),
        next_row=min(due, key=_next_run_at) if due else None,
    )


def _next_run_at(row: JobRow) -> datetime:
    assert row.next_run_at is not None
    return row.next_run_at


def job_rows(request: HttpRequest) -> list[JobRow]:
    """Return a row for each job that runs by itself; reads as much with ten schedules as with 100,000."""
    shown = [job for job in jobs() if job.crontab is not None]
    keys = schedules.first_of_each([job.task_name for job in shown], schedules.NEXT_AMONG_MAX)
    coming = schedules.next_of_each(keys)
    wanted = {*(some[0] for some in keys.values() if some), *coming.values()}
    tasks = list(PeriodicTask.objects.filter(pk__in=wanted).select_related(*schedules.RELATED))
    found = {task.pk: (task, reading) for task, reading in zip(tasks, read_all(tasks), strict=True)}
    runs = strip.latest_runs(job.slug for job in shown)
    rows = []
    for job in shown:
        some, job_runs = keys[job.task_name], runs[job.slug]
        # One may have been deleted meanwhile.
        task, reading = found.get(some[0] if some else None, (None, None))
        next_task, next_reading = found.get(coming.get(job.task_name), (task, reading))
        rows.append(
            JobRow(
                job=job,
                schedule=task,
                reading=reading,
                next_schedule=next_task,
                next_reading=next_reading,
                number_of_schedules=len(some),
                last_run=job_runs[-1] if job_runs else None,
                strip=strip.context(job_runs, job.title),
                may_run=job.may_run(request.user),
            )
        )
    return rows
