"""What a maintenance window would hold: its next occurrences, and the slots in the first of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django_celery_beat.models import PeriodicTask

from database import clock, zones
from maintenance.models import PlannedWindow
from maintenance.models.maintenance_mode import ALL
from maintenance.registry import jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.forecast import as_resumed, caught_up_at, forecast
from maintenance.scheduling.holds import INSTANT, Holds, Window
from maintenance.scheduling.maintenance_mode import Modes
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
    # When a run starts for them once all that holds the schedule has ended, in its zone; None: none does, or no end is known.
    caught_up_at: datetime | None

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
    """Return what the (unsaved) window would hold, in four queries."""
    zone, now = zones.find(row.timezone), clock.now()
    occurrences = [
        Occurrence(start.astimezone(zone), end.astimezone(zone))
        for start, end in islice(row.occurrences_after(now), OCCURRENCES)
    ]
    first = occurrences[0] if occurrences else None
    if first is None:
        return WindowPreview([], row.timezone, [], others=0, unread=0)
    tasks = _tasks(row.scope, until=first.ends_at)
    held = list(_held(tasks[:SCHEDULES_MAX], row, now, max(first.starts_at, now), first.ends_at))
    held.sort(key=lambda one: one.first)
    others, unread = max(0, len(held) - NAMED_MAX), max(0, tasks.count() - SCHEDULES_MAX)
    return WindowPreview(occurrences, row.timezone, held[:NAMED_MAX], others, unread)


def _tasks(scope: str, *, until: datetime) -> QuerySet[PeriodicTask]:
    """Return the schedules that a window of this scope would hold, those that fire next first.

    Those too that are paused now, if their pause ends before ``until``.
    """
    resumed = Q(control__paused_at__isnull=False, control__paused_until__lt=until)
    tasks: QuerySet[PeriodicTask] = PeriodicTask.objects.filter(Q(enabled=True) | resumed).select_related(
        *schedules.RELATED
    )
    if scope != ALL:
        tasks = tasks.filter(task__in=[job.task_name for job in jobs() if job.group == scope])
    return tasks.order_by(F("control__next_slot_at").asc(nulls_last=True), "pk")


def _held(
    tasks: Iterable[PeriodicTask], row: PlannedWindow, now: datetime, start: datetime, end: datetime
) -> Iterator[Held]:
    modes = Modes()
    for task in tasks:
        try:
            timing, control = Timing.of(task), schedules.control_or_default(task)
            holds = modes.holds_of(task, control=control, timing=timing)
            slots = _slots(task, timing, holds, now, start, end)
            at = caught_up_at(task, timing, control, slots[0], holds.beside(Window(row))) if slots else None
        except (InvalidSchedule, KeyError):  # it cannot fire; its time zone is unknown on this host
            continue
        if slots:
            zone = zones.find(timing.zone or settings.TIME_ZONE)
            yield Held(task, slots[0].astimezone(zone), len(slots), at and at.astimezone(zone))


def _slots(
    task: PeriodicTask, timing: Timing, holds: Holds, now: datetime, start: datetime, end: datetime
) -> list[datetime]:
    """Return the slots between two moments; not those that its own pause or a day off takes anyway."""
    control = schedules.control_or_default(task)
    if task.one_off:
        at = forecast(task, timing, control, now=now, holds=holds).next_at
        return [at] if at is not None and start <= at < end else []
    if not task.enabled and control.paused_until is not None:
        start = max(start, control.paused_until)
    anchor = as_resumed(task, timing, control, holds).effective_from
    times = timing.fire_times(after=start - INSTANT, until=end - INSTANT, anchor=anchor)
    slots = islice(times, SLOTS_MAX)
    return [slot for slot in slots if not holds.gives_up(slot)] if control.days_off else list(slots)
