"""What the dashboard shows, in a number of queries that does not grow with jobs or runs."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, Model
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask

from database import clock
from database.estimates import table_sizes
from maintenance.admin import run_strip
from maintenance.ledger.worker_health import worker_health
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES
from maintenance.registry import Job, job_title, jobs
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.reading import Reading, read, read_all
from maintenance.scheduling.scheduler_health import scheduler_health
from scraping.compliance.brake import set_aside_waiting
from scraping.compliance.coverage import coverage
from scraping.models import RedditComment, RedditPost, ScrapeSession

PERIOD = timedelta(hours=24)
FAILURES_SHOWN = 5
RUNNING_SHOWN = 3
STORED: tuple[type[Model], ...] = (RedditPost, RedditComment, ScrapeSession, JobRun)

BLOCKED_SHOWN = 10
# Rows of missed slots that are added up: one stands for all slots of one schedule in one outage.
MISSED_ROWS_MAX = 10_000

# What counts for the rate: a real run that did its work or failed at it, and a slot that had none. Cancelled, skipped
# and interrupted runs say nothing of the job's health, and an interrupted one has a next attempt that is counted.
SUCCESSES = {JobRun.Status.SUCCEEDED}


@dataclass(frozen=True)
class JobRow:
    """A row of the Jobs table."""

    job: Job
    # The oldest of its schedules; None: it has none.
    schedule: PeriodicTask | None
    reading: Reading | None
    # Of all its schedules, the one that fires next.
    next_schedule: PeriodicTask | None
    next_reading: Reading | None
    # How many there are; counted up to schedules.NEXT_AMONG_MAX.
    number_of_schedules: int
    last_run: JobRun | None  # without dry runs
    strip: str
    may_run: bool

    @property
    def other_schedules(self) -> int:
        """How many it has besides the oldest."""
        return max(0, self.number_of_schedules - 1)

    @property
    def next_is_another(self) -> bool:
        """Whether the schedule that fires next is not the one whose times are shown."""
        return bool(self.schedule and self.next_schedule and self.next_schedule.pk != self.schedule.pk)

    @property
    def is_counted(self) -> bool:
        """Whether all its schedules were counted."""
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
    # Slots that passed without a run.
    missed: int
    # Runs that wait for approval, whatever their age.
    waiting: int
    running: list[JobRun]
    number_running: int
    next_title: str
    next_run_at: datetime | None  # in the schedule's zone

    @property
    def ended(self) -> int:
        """Figures of the last 24 hours, and what is waiting."""
        return self.successes + self.failures + self.missed + self.waiting

    @property
    def success_share(self) -> float | None:
        """The percentage that succeeded, rounded down, so 100 means all; None when there were none."""
        return math.floor(1000 * self.successes / self.ended) / 10 if self.ended else None


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the dashboard's context for somebody who may see runs."""
    rows = job_rows(request)
    sizes = table_sizes(STORED)
    blocked = JobRun.objects.blocked().defer("traceback", "cursor")
    return {
        "tiles": tiles(rows),
        "blocked": [{"run": run, "title": job_title(run.job)} for run in blocked[:BLOCKED_SHOWN]],
        "job_rows": rows,
        "scheduler": scheduler_health(),
        "workers": worker_health(),
        "failures": JobRun.objects.filter(status=JobRun.Status.FAILED).order_by("-pk")[:FAILURES_SHOWN],
        "storage": [{"name": model._meta.verbose_name_plural, "size": size} for model, size in sizes.items()],
        "coverage": coverage(sizes),
        "set_aside": set_aside_waiting(request.user),
        "may_see_schedules": admin.site.get_model_admin(PeriodicTask).has_view_permission(request),
        "may_change_schedules": request.user.has_perm(edits.PERMISSION),
        "jobs_by_slug": {row.job.slug: row.job for row in rows},
    }


def tiles(rows: list[JobRow]) -> Tiles:
    """Count the last 24 hours; the next run is the earliest of the schedules in force."""
    now = clock.now()
    lately = JobRun.objects.filter(queued_at__gte=now - PERIOD, dry_run=False).order_by()
    by_status = Counter(dict(lately.values_list("status").annotate(number=Count("pk"))))
    missed = lately.filter(status=JobRun.Status.MISSED)[:MISSED_ROWS_MAX] if by_status["missed"] else ()
    open_ones = Counter(
        dict(JobRun.objects.open().order_by().values_list("status").annotate(number=Count("pk")))
    )
    coming = [(row.next_run_at, row.job.title) for row in rows if row.next_run_at is not None]
    for task in schedules.coming(now)[:1]:
        next_run_at = read(task).next_run_at
        coming += [(next_run_at, schedules.title(task))] if next_run_at else []
    next_run_at, next_title = min(coming, default=(None, ""))
    running = JobRun.objects.running().order_by("pk")[:RUNNING_SHOWN] if open_ones["running"] else ()
    return Tiles(
        successes=sum(by_status[status] for status in SUCCESSES),
        failures=sum(by_status[status] for status in FAILURES),
        missed=sum(_slots(run) for run in missed),
        waiting=open_ones["blocked"],
        running=list(running),
        number_running=open_ones["running"],
        next_title=next_title,
        next_run_at=next_run_at,
    )


def _slots(run: JobRun) -> int:
    """Return how many slots a row of missed ones stands for."""
    number = run.counts.get("slots_missed")
    return number if type(number) is int else 1


def job_rows(request: HttpRequest) -> list[JobRow]:
    """Return a row for each job that runs by itself; reads as much with ten schedules as with 100,000."""
    shown = [job for job in jobs() if job.crontab is not None]
    keys = schedules.first_of_each([job.task_name for job in shown], schedules.NEXT_AMONG_MAX)
    coming = schedules.next_of_each(keys)
    wanted = {*(some[0] for some in keys.values() if some), *coming.values()}
    tasks = list(PeriodicTask.objects.filter(pk__in=wanted).select_related(*schedules.RELATED))
    found = {task.pk: (task, reading) for task, reading in zip(tasks, read_all(tasks), strict=True)}
    runs = run_strip.latest_runs((job.slug for job in shown), request.user)
    last = run_strip.last_real_runs(job.slug for job in shown)
    rows = []
    for job in shown:
        some, job_runs = keys[job.task_name], runs[job.slug]
        # A schedule may have been deleted meanwhile.
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
                last_run=last.get(job.slug),
                strip=run_strip.drawing(job_runs, job.title),
                may_run=job.may_run(request.user),
            )
        )
    return rows
