"""What a maintenance window would hold: its next occurrences, and the slots in the first of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db.models import F, QuerySet
from django_celery_beat.models import PeriodicTask

from database import clock, zones
from maintenance.models import PlannedWindow
from maintenance.models.maintenance_mode import ALL
from maintenance.registry import jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.holds import INSTANT
from maintenance.scheduling.timing import Timing

OCCURRENCES = 5
# Schedules that are looked at, and those that are named.
SCHEDULES_MAX, NAMED_MAX = 500, 20
# Slots of one schedule that are counted.
SLOTS_MAX = 1_000


@dataclass(frozen=True)
class Occurrence:
    """One time at which the window is open, in its zone."""

    starts_at: datetime
    ends_at: datetime

    @property
    def length(self) -> timedelta:
        """How long it is, in real time."""
        return self.ends_at.astimezone(zones.find("UTC")) - self.starts_at.astimezone(zones.find("UTC"))


@dataclass(frozen=True)
class Held:
    """A schedule whose slots the first occurrence holds."""

    task: PeriodicTask
    first: datetime  # in the schedule's zone
    number: int
    catches_up: bool

    @property
    def name(self) -> str:
        """The schedule's title."""
        return schedules.title(self.task)

    @property
    def is_cut(self) -> bool:
        """Whether there are more slots than are counted."""
        return self.number >= SLOTS_MAX


@dataclass(frozen=True)
class WindowPreview:
    """What a window would hold."""

    occurrences: list[Occurrence]
    zone: str
    held: list[Held]
    # Schedules beyond those that are named.
    others: int
    # Schedules that are not looked at.
    unread: int


def window_preview(row: PlannedWindow) -> WindowPreview:
    """Return what the (unsaved) window would hold, in two queries."""
    zone, now = zones.find(row.timezone), clock.now()
    occurrences = [
        Occurrence(start.astimezone(zone), end.astimezone(zone))
        for start, end in islice(row.occurrences_after(now), OCCURRENCES)
    ]
    first = occurrences[0] if occurrences else None
    tasks = _tasks(row.scope)
    held = list(_held(tasks[:SCHEDULES_MAX], max(first.starts_at, now), first.ends_at)) if first else []
    held.sort(key=lambda one: one.first)
    others, unread = max(0, len(held) - NAMED_MAX), max(0, tasks.count() - SCHEDULES_MAX)
    return WindowPreview(occurrences, row.timezone, held[:NAMED_MAX], others, unread)


def _tasks(scope: str) -> QuerySet[PeriodicTask]:
    """Return the schedules that a window of this scope would hold, those that fire next first."""
    tasks: QuerySet[PeriodicTask] = PeriodicTask.objects.filter(enabled=True).select_related(
        *schedules.RELATED
    )
    if scope != ALL:
        tasks = tasks.filter(task__in=[job.task_name for job in jobs() if job.group == scope])
    return tasks.order_by(F("control__next_slot_at").asc(nulls_last=True), "pk")


def _held(tasks: Iterable[PeriodicTask], start: datetime, end: datetime) -> Iterator[Held]:
    for task in tasks:
        timing, control = Timing.of(task), schedules.control_or_default(task)
        try:
            times = timing.fire_times(
                after=start - INSTANT, until=end - INSTANT, anchor=control.effective_from
            )
            slots = list(islice(times, SLOTS_MAX))
        except (InvalidSchedule, KeyError):  # it cannot fire; its time zone is unknown on this host
            continue
        if slots:
            zone = zones.find(timing.zone or settings.TIME_ZONE)
            caught_up = control.catch_up_after_pause and control.misfire_policy != "skip"
            yield Held(task, slots[0].astimezone(zone), len(slots), caught_up or bool(task.one_off))
