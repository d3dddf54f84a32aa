"""Conditions of runs that the dashboard and the rules of alerts share: missed slots, and runs that stand still."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django_celery_beat.models import PeriodicTask

from database import clock
from maintenance.job_groups import SCRAPING
from maintenance.models import FORCE_STOP_AFTER, JobRun
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.statuses import OPEN, WORKED
from maintenance.registry import get_job, is_known, job_title, jobs
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.recovery import SILENT_HEARTBEATS

MISSED_MAX = 50
# Older missed slots are not listed: nothing can be done about them.
MISSED_WITHIN = timedelta(days=2)


def silence_of(run: JobRun, now: datetime) -> timedelta | None:
    """Return for how long the worker of a running run has been silent; None: it is not, or not for long enough."""
    silent = now - run.heartbeat_at if run.heartbeat_at else None
    patience = timedelta(seconds=SILENT_HEARTBEATS * settings.HEARTBEAT_SECONDS)
    return silent if silent is not None and silent > patience else None


def does_not_stop(run: JobRun, now: datetime) -> bool:
    """Whether a running run was cancelled and does not stop."""
    asked = run.cancel_requested_at
    return asked is not None and now - asked > FORCE_STOP_AFTER


def scraping_is_paused() -> bool:
    """Whether no schedule scrapes bots now, because somebody has paused it, or planned that; at most three queries."""
    if Modes().holds_of_group(SCRAPING.slug).now(clock.now()):
        return True
    tasks = [job.task_name for job in jobs() if job.group == SCRAPING.slug and job.crontab is not None]
    enabled = set(PeriodicTask.objects.filter(task__in=tasks).order_by().values_list("enabled", flat=True))
    return enabled == {False}


def missed_by_schedule(runs: JobRunQuerySet, now: datetime) -> dict[int | None, list[JobRun]]:
    """Return, by schedule, the rows of slots that passed without a scheduler, if the schedule has not run since."""
    fields = ("job", "schedule", "schedule_name", "scheduled_for", "counts", "params", "dry_run")
    return by_schedule(missed_rows(runs, now).only(*fields))


def missed_rows(runs: JobRunQuerySet, now: datetime) -> JobRunQuerySet:
    """Return those rows, newest first, at most 50."""
    ran = Q(status__in=[*OPEN, *WORKED])
    later = JobRun.objects.filter(
        ran, schedule=OuterRef("schedule"), trigger="schedule", scheduled_for__gt=OuterRef("scheduled_for")
    )
    by_hand = JobRun.objects.filter(
        ran, job=OuterRef("job"), dry_run=False, schedule__isnull=True, pk__gt=OuterRef("pk")
    )
    plain = [job.slug for job in jobs() if job.concurrent_by is None]
    return (
        runs.filter(status=JobRun.Status.MISSED, reason=JobRun.Reason.NO_SCHEDULER)
        .filter(queued_at__gte=now - MISSED_WITHIN, schedule__enabled=True)
        .exclude(Exists(later))
        .exclude(Exists(by_hand), job__in=plain)
        .order_by("-pk")[:MISSED_MAX]
    )


def by_schedule(runs: Iterable[JobRun]) -> dict[int | None, list[JobRun]]:
    """Return the runs by the keys of their schedules."""
    found: dict[int | None, list[JobRun]] = {}
    for run in runs:
        found.setdefault(run.schedule_id, []).append(run)
    return found


def name_of(run: JobRun) -> str:
    """Return the schedule's name if somebody has given it one, otherwise the job's title in the reader's language.

    With the bot, if the run's page or line names it (``JobRun.bot``).
    """
    if run.schedule_name and not (is_known(run.job) and run.schedule_name == get_job(run.job).english_title):
        return run.schedule_name
    return f"{job_title(run.job)}: {run.bot.name}" if run.bot else job_title(run.job)
