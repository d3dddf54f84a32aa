"""The services behind schedules: seed, retime, pause, resume, reset, look ahead.

A schedule is django-celery-beat's PeriodicTask with our ScheduleControl beside it. Every write goes through
``.save()``, because that is what a running beat notices, and leaves an event with before, after and reason.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Model
from django_celery_beat.models import PeriodicTask

from adminkit.moments import with_zone
from database import clock
from database.messages import gettext as _
from maintenance.models import ScheduleControl
from maintenance.registry import TASK_PREFIX, Job, job_of_task
from maintenance.scheduling import firetimes
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.timing import Timing, beside

logger = logging.getLogger(__name__)
# The related rows of a schedule; loaded in one query, a row that is gone is None.
KINDS = ("crontab", "interval", "clocked", "solar")
RELATED = (*KINDS, "control")


# --- Reading ---------------------------------------------------------------------------------


def is_default(task: PeriodicTask) -> bool:
    """Whether the schedule is its job's default, which cannot be given another job."""
    job = job_of(task)
    return job is not None and job.crontab is not None and bool(control_or_default(task).default_crontab)


def has_run(task: PeriodicTask) -> bool:
    """Whether the schedule was to run once, and has: a tick disables it then, without a pause."""
    return bool(task.one_off and not task.enabled and control_or_default(task).paused_at is None)


def others_of_job(task: PeriodicTask) -> int:
    """Return how many other schedules the job has."""
    return int(PeriodicTask.objects.filter(task=task.task).exclude(pk=task.pk).count())


def comes_back(task: PeriodicTask) -> bool:
    """Whether the next deploy would create the job's default schedule if this one were deleted."""
    return bool(coming_back([task]))


def coming_back(tasks: Collection[PeriodicTask]) -> set[str]:
    """Return the names of the tasks whose default the next deploy would create if all these were deleted."""
    others = PeriodicTask.objects.exclude(pk__in=[task.pk for task in tasks])
    kept = set(others.order_by().values_list("task", flat=True).distinct())
    jobs = ((task.task, job_of(task)) for task in tasks if task.task not in kept)
    return {name for name, job in jobs if job is not None and job.crontab is not None}


def for_job(slug: str) -> PeriodicTask | None:
    """Return the job's first schedule, or None."""
    return PeriodicTask.objects.filter(task=f"maintenance.{slug}").order_by("pk").first()


def job_of(task: PeriodicTask) -> Job | None:
    """Return the job that a schedule starts; None for a task that is no job of ours."""
    return job_of_task(task.task)


def control_of(task: PeriodicTask) -> ScheduleControl:
    """Return the schedule's ScheduleControl; create it if it is missing."""
    try:
        control: ScheduleControl = task.control
    except ScheduleControl.DoesNotExist:
        control = ScheduleControl.objects.get_or_create(schedule=task)[0]
    return control


def control_or_default(task: PeriodicTask) -> ScheduleControl:
    """Return the schedule's ScheduleControl, or an unsaved default one if it is missing. Writes nothing."""
    try:
        control: ScheduleControl = task.control
    except ScheduleControl.DoesNotExist:
        control = ScheduleControl(schedule=task)
    return control


def crontab_of(task: PeriodicTask) -> Crontab | None:
    """Return the schedule's crontab; None when it is of another kind."""
    return Timing.of(task).crontab


def zone_of(task: PeriodicTask) -> ZoneInfo:
    """Return the zone in whose wall-clock time the schedule fires.

    Raises:
        ZoneInfoNotFoundError: this host does not know it; ``scheduling.reading`` does not raise.
    """
    return Timing.of(task).zone_info


def stored_time(task: PeriodicTask) -> str:
    """Return the schedule's time as it is stored, with its zone; never raises."""
    timing = Timing.of(task)
    kind = timing.crontab or _other_kind(task) or _("no time")
    return f"{kind} {timing.zone or settings.TIME_ZONE}"


def _other_kind(task: PeriodicTask) -> Model | None:
    return next((row for row in (beside(task, name) for name in KINDS) if row), None)


def fire_times(task: PeriodicTask, *, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """Yield the schedule's slots after ``after`` (exclusive) up to ``until`` (inclusive), in UTC.

    Whether the schedule is enabled does not matter.
    """
    return Timing.of(task).fire_times(after=after, until=until, anchor=control_of(task).effective_from)


def upcoming(task: PeriodicTask, number: int, *, now: datetime | None = None) -> list[datetime]:
    """Return the next fire times as beat will see them; empty while the schedule is paused or over."""
    if not task.enabled:
        return []
    return list(islice(fire_times(task, after=now or clock.now()), number))


def next_fire(task: PeriodicTask, *, now: datetime | None = None) -> datetime | None:
    """Return the next fire time; None if the schedule is paused, over, or can never fire."""
    return next(iter(upcoming(task, 1, now=now)), None)


def title(task: PeriodicTask) -> str:
    """Return the schedule's name; if nobody has renamed it, the job's title in the reader's language."""
    job = job_of(task)
    return str(job.title) if job and task.name == job.english_title else str(task.name)


def describe(task: PeriodicTask, language: str) -> str:
    """Return the schedule as a sentence in the language ("en", "zh-hans")."""
    timing = Timing.of(task)
    if timing.crontab:
        return firetimes.describe(timing.crontab, language)
    if timing.clocked:
        return with_zone(timing.clocked.astimezone(timing.zone_info))
    return str(_other_kind(task) or _("no time"))


@dataclass(frozen=True)
class Deviation:
    """How a schedule differs from its job's default."""

    default: Crontab  # as the running code declares it
    # The default at the last decision of an operator; None: it has not changed since.
    former: Crontab | None
    # Whether an operator gave the schedule its timing; False: it still runs by the former default.
    is_override: bool

    @property
    def is_drift(self) -> bool:
        """Whether a deploy changed the default, and nobody has decided yet whether to follow."""
        return self.former is not None


def deviation(task: PeriodicTask) -> Deviation | None:
    """Return how the schedule differs from its default: an operator's override, or a deploy's drift."""
    job = job_of(task)
    if job is None or job.crontab is None:
        return None
    default, timing = Crontab.parse(job.crontab), Timing.of(task)
    in_our_zone = timing.zone == settings.TIME_ZONE
    if timing.crontab == default and in_our_zone:
        return None  # it equals the default, whoever set it
    former = _former_default(task, job.crontab)
    return Deviation(default=default, former=former, is_override=timing.crontab != former or not in_our_zone)


def _former_default(task: PeriodicTask, default: str) -> Crontab | None:
    known = control_or_default(task).default_crontab
    if not known or known == default:
        return None
    try:
        return Crontab.parse(known)
    except InvalidCrontab:  # not written by us
        return None


def drift_report() -> list[str]:
    """Return a line for each schedule whose default was changed by a deploy, without an operator's decision yet."""
    tasks = PeriodicTask.objects.filter(task__startswith=TASK_PREFIX)
    report = []
    for task in tasks.select_related(*RELATED).order_by("pk"):
        differs = deviation(task)
        if differs is not None and differs.is_drift:
            report.append(
                f"{task.name}: the default changed from {differs.former} to {differs.default};"
                f" it stays at {stored_time(task)} until somebody resets or keeps it."
            )
    return report
