"""Warns of runs that would meet: the next run of the schedule itself, or a long one of another schedule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise

from django.db.models import BooleanField, Case, F, OuterRef, Q, Subquery, When
from django_celery_beat.models import PeriodicTask

from maintenance.ledger.usual import COUNTS, Kind, kind_of, usual_of_kinds
from maintenance.models import JobRun
from maintenance.registry import InvalidParams, read_params
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import InvalidSchedule

# A run that usually takes as long as this slows others down.
HEAVY = timedelta(minutes=1)
OTHERS_MAX = 50
SLOTS_MAX = 2_000


@dataclass(frozen=True)
class TooLong:
    """A run usually takes longer than the time to the next one."""

    takes: timedelta
    interval: timedelta


@dataclass(frozen=True)
class Meeting:
    """A run of another schedule that usually takes long, at the same time."""

    other: PeriodicTask
    takes: timedelta
    at: datetime  # when both run for the first time

    @property
    def name(self) -> str:
        """The other schedule's title."""
        return schedules.title(self.other)


@dataclass(frozen=True)
class Neighbours:
    """What a schedule's runs would meet."""

    too_long: TooLong | None
    meetings: list[Meeting]
    # There are more schedules with long runs than were compared.
    is_cut: bool = False


def neighbours(task: PeriodicTask, slots: Sequence[datetime]) -> Neighbours:
    """Return what runs of the task at these slots would meet, by the usual durations, in up to four queries.

    Only long runs that meet long runs of other jobs are told.
    """
    takes = _usual([task])[0]
    if takes is None:
        return Neighbours(None, [])
    interval = min((later - earlier for earlier, later in pairwise(slots)), default=None)
    too_long = TooLong(takes, interval) if interval is not None and takes > interval else None
    if takes < HEAVY:
        return Neighbours(too_long, [])
    others = _others(task)
    nearby = others[:OTHERS_MAX]
    return Neighbours(too_long, _meetings(nearby, slots, takes), is_cut=len(others) > OTHERS_MAX)


def _others(task: PeriodicTask) -> list[PeriodicTask]:
    """Return the schedules of other jobs; of many those that may be heavy; one more than are compared, if there are more."""
    rows = PeriodicTask.objects.filter(enabled=True).exclude(pk=task.pk).exclude(task=task.task)
    rows = rows.select_related(*schedules.RELATED).order_by("pk")
    found = list(rows[: OTHERS_MAX + 1])
    if len(found) <= OTHERS_MAX:
        return found
    # One look into the index of slots for each schedule. Only a quick success says that a schedule is not heavy.
    is_quick = COUNTS & Q(finished_at__lt=F("started_at") + HEAVY)
    last = JobRun.objects.filter(schedule=OuterRef("pk"), trigger=JobRun.Trigger.SCHEDULE)
    was_quick = last.order_by("-scheduled_for").values(
        quick=Case(When(is_quick, then=True), default=False, output_field=BooleanField())
    )
    may_be_heavy = rows.alias(was_quick=Subquery(was_quick[:1])).filter(
        Q(was_quick=False) | Q(was_quick=None)
    )
    return list(may_be_heavy[: OTHERS_MAX + 1])


def _meetings(nearby: Sequence[PeriodicTask], slots: Sequence[datetime], takes: timedelta) -> list[Meeting]:
    meetings = []
    for other, length in zip(nearby, _usual(nearby), strict=True):
        if length is not None and length >= HEAVY:
            at = _first(other, slots, takes, length)
            meetings += [Meeting(other, length, at)] if at else []
    return sorted(meetings, key=lambda meeting: meeting.at)


def _usual(tasks: Sequence[PeriodicTask]) -> list[timedelta | None]:
    """Return how long runs of each schedule usually take; None where that is not known."""
    found = usual_of_kinds([_kind(task) for task in tasks])
    return [usual.p50 if usual else None for usual in found]


def _kind(task: PeriodicTask) -> Kind | None:
    try:
        return kind_of(schedules.job_of(task), read_params(task.kwargs))
    except InvalidParams:  # its runs end at once
        return None


def _first(
    other: PeriodicTask, slots: Sequence[datetime], takes: timedelta, length: timedelta
) -> datetime | None:
    """Return when a run at one of the slots first meets one of the other schedule."""
    if not slots:
        return None
    theirs = list(islice(_slots(other, slots[0] - length, slots[-1] + takes), SLOTS_MAX))
    number = 0
    for mine in slots:
        while number < len(theirs) and theirs[number] + length <= mine:
            number += 1
        if number < len(theirs) and theirs[number] < mine + takes:
            return max(mine, theirs[number])
    return None


def _slots(task: PeriodicTask, after: datetime, until: datetime) -> Iterator[datetime]:
    try:
        yield from schedules.fire_times(task, after=after, until=until)
    except (InvalidSchedule, KeyError):  # it cannot fire; its time zone is unknown on this host
        return
