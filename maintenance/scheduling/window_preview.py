"""What a maintenance window would hold: its next occurrences, and the slots in the first of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from django.conf import settings
from django_celery_beat.models import PeriodicTask

from database import clock, zones
from maintenance.models import PlannedWindow
from maintenance.models.maintenance_mode import ALL
from maintenance.registry import jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.holds import INSTANT, weekly_of
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


def window_preview(row: PlannedWindow) -> WindowPreview:
    """Return what the (unsaved) window would hold, in one query."""
    zone, now = zones.find(row.timezone), clock.now()
    occurrences = list(islice(_occurrences(row, now, zone), OCCURRENCES))
    first = occurrences[0] if occurrences else None
    held = list(_held(row, max(first.starts_at, now), first.ends_at)) if first else []
    held.sort(key=lambda one: one.first)
    return WindowPreview(occurrences, row.timezone, held[:NAMED_MAX], max(0, len(held) - NAMED_MAX))


def _occurrences(row: PlannedWindow, now: datetime, zone: tzinfo | None) -> Iterator[Occurrence]:
    weekly = weekly_of(row)
    spans = weekly.after(now) if weekly is not None else iter([(row.starts_at, row.ends_at)])
    for start, end in spans:
        yield Occurrence(start.astimezone(zone), end.astimezone(zone))


def _held(row: PlannedWindow, start: datetime, end: datetime) -> Iterator[Held]:
    tasks = PeriodicTask.objects.filter(enabled=True).select_related(*schedules.RELATED).order_by("pk")
    if row.scope != ALL:
        tasks = tasks.filter(task__in=[job.task_name for job in jobs() if job.group == row.scope])
    for task in tasks[:SCHEDULES_MAX]:
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
