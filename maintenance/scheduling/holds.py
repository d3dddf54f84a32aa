"""What holds a schedule, and until when: pauses, maintenance mode, planned windows and days off, read in one way.

The tick, forecasts, previews, the timeline and explanations all ask ``Holds``; ``maintenance_mode.Modes`` makes the one
of a schedule. A moment is held from the start of a period (inclusive) to its end (exclusive).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import takewhile
from typing import Any, Protocol

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from database.weekly import DAY, first_reached
from maintenance.models import MaintenanceMode, PlannedWindow, ScheduleControl
from maintenance.models.maintenance_mode import ALL
from maintenance.scheduling import days_off

INSTANT = timedelta(microseconds=1)
EVER = datetime.min.replace(tzinfo=UTC)
# Periods that follow each other without a gap are one; a schedule that so many of them hold is held for good.
JOINED_MAX = 100
# Moments of which a Holds remembers what holds them.
FOUND_MAX = 10_000


class Hold(TextChoices):
    """What keeps a schedule from firing for some time."""

    NONE = "", _("nothing")
    PAUSE = "pause", _("pause")
    MAINTENANCE = "maintenance", _("maintenance mode")
    GROUP = "group", _("pause of a group of jobs")
    WINDOW = "window", _("maintenance window")
    DAY_OFF = "day_off", _("day off")


@dataclass(frozen=True)
class Period:
    """One stretch of time in which something holds a schedule."""

    kind: Hold
    start: datetime
    end: datetime | None  # exclusive; None: it has none yet
    reason: str
    # Empty: all schedules, or one; else a group of jobs.
    scope: str = ALL
    # The row that it comes from; None: it is no row.
    about: Any = None

    @property
    def by(self) -> str:
        """The user name of who switched it on, or planned it; empty: nobody is known."""
        person = getattr(self.about, "started_by", None) or getattr(self.about, "planned_by", None)
        return person.get_username() if person else ""

    @property
    def is_final(self) -> bool:
        """Whether slots in it are given up, whatever the schedule's policy for slots in a pause."""
        return self.kind is Hold.DAY_OFF

    @property
    def is_planned(self) -> bool:
        """Whether it was planned in advance."""
        return self.kind is Hold.WINDOW


@dataclass(frozen=True)
class Span:
    """Periods that overlap or follow each other: the schedule does not fire in between."""

    start: datetime
    end: datetime | None  # None: there is no end yet
    # What holds the schedule at the moment that was asked for; of several periods the one that ends last.
    current: Period
    # What holds it at the end of the span.
    last: Period


class Source(Protocol):
    """Something that holds schedules from time to time."""

    def at(self, moment: datetime) -> Period | None:
        """Return the period that contains the moment."""

    def between(self, after: datetime, until: datetime) -> list[Period]:
        """Return the periods that have a part between these two moments, ascending."""


class Switch:
    """The latest period of a switch. Its row may be unsaved, for a switch that was never used."""

    def __init__(self, mode: MaintenanceMode) -> None:
        self.mode = mode

    @property
    def period(self) -> Period | None:
        """The latest period; None: it was never on."""
        mode = self.mode
        if mode.started_at is None:
            return None
        return Period(
            kind=Hold.MAINTENANCE if mode.scope == ALL else Hold.GROUP,
            # The slot of the very moment was still free to run.
            start=mode.started_at + INSTANT,
            end=mode.ended_at or mode.until,
            reason=mode.reason,
            scope=mode.scope,
            about=mode,
        )

    def at(self, moment: datetime) -> Period | None:
        """Return the period if it contains the moment."""
        mode = self.mode
        end = mode.ended_at or mode.until
        if mode.started_at is None or moment <= mode.started_at or (end is not None and moment >= end):
            return None
        return self.period

    def between(self, after: datetime, until: datetime) -> list[Period]:
        """Return the period if a part of it lies between these two moments."""
        return _within([self.period] if self.period else [], after, until)


class OwnPause:
    """The pause of one schedule, which is disabled."""

    def __init__(self, control: ScheduleControl) -> None:
        self.control = control

    def at(self, moment: datetime) -> Period | None:
        """Return the pause if it contains the moment."""
        control = self.control
        start, end = control.paused_at or EVER, control.paused_until
        if moment < start or (end is not None and moment >= end):
            return None
        return Period(Hold.PAUSE, start, end, control.pause_reason, about=control)

    def between(self, after: datetime, until: datetime) -> list[Period]:
        """Return the pause if a part of it lies between these two moments."""
        period = self.at(max(after, self.control.paused_at or EVER))
        return _within([period] if period else [], after, until)


class Window:
    """The occurrences of a planned window."""

    def __init__(self, row: PlannedWindow) -> None:
        self.row = row

    def at(self, moment: datetime) -> Period | None:
        """Return the occurrence that contains the moment."""
        found = self.row.occurrence_at(moment)
        return self._period(*found) if found is not None else None

    def between(self, after: datetime, until: datetime) -> list[Period]:
        """Return the occurrences that have a part between these two moments."""
        found = takewhile(lambda span: span[0] < until, self.row.occurrences_after(after))
        return [self._period(*span) for span in found]

    def _period(self, start: datetime, end: datetime) -> Period:
        row = self.row
        return Period(Hold.WINDOW, start, end, row.reason, row.scope, about=row)


class DaysOff:
    """The days off of a schedule's calendar, in its time zone."""

    def __init__(self, code: str, zone: tzinfo, *, with_weekends: bool) -> None:
        self._code, self._zone, self._with_weekends = code, zone, with_weekends

    def at(self, moment: datetime) -> Period | None:
        """Return the day off that contains the moment, from midnight to midnight."""
        return self._on(moment.astimezone(self._zone).date())

    def between(self, after: datetime, until: datetime) -> list[Period]:
        """Return the days off that have a part between these two moments."""
        day, last = (moment.astimezone(self._zone).date() for moment in (after, until))
        found = []
        while day <= last:
            if (period := self._on(day)) is not None:
                found.append(period)
            day += DAY
        return _within(found, after, until)

    def _on(self, day: date) -> Period | None:
        name = days_off.name_of(self._code, day, with_weekends=self._with_weekends)
        if not name:
            return None
        start, end = (first_reached(datetime.combine(each, time()), self._zone) for each in (day, day + DAY))
        return Period(Hold.DAY_OFF, start, end, name)


def _within(periods: list[Period], after: datetime, until: datetime) -> list[Period]:
    return [
        period
        for period in periods
        if period.start < until and (period.end is None or (period.end > after and period.start < period.end))
    ]


@dataclass(frozen=True)
class Holds:
    """Everything that holds one schedule, in the past and the future."""

    sources: Sequence[Source] = ()
    # What holds a moment. Many schedules share their slots, and one may ask for many.
    _found: dict[datetime, list[Period]] = field(default_factory=dict, compare=False, repr=False)

    def beside(self, source: Source) -> "Holds":
        """Return these and one more."""
        return Holds([*self.sources, source])

    def all_at(self, moment: datetime) -> list[Period]:
        """Return every period that contains the moment."""
        if not self.sources:
            return []
        if (found := self._found.get(moment)) is None:
            found = [period for source in self.sources if (period := source.at(moment)) is not None]
            if len(self._found) < FOUND_MAX:
                self._found[moment] = found
        return found

    def now(self, now: datetime) -> list[Period]:
        """Return every period that is in force now; also a switch that was switched on at this very moment."""
        return self.all_at(now + INSTANT)

    def at(self, moment: datetime) -> Period | None:
        """Return what holds the schedule at the moment: of several periods the one that ends last."""
        return max(self.all_at(moment), key=_ends, default=None)

    def covers(self, slot: datetime) -> bool:
        """Whether something holds the slot."""
        return bool(self.all_at(slot))

    def between(self, after: datetime, until: datetime) -> list[Period]:
        """Return the periods that have a part between these two moments."""
        return [period for source in self.sources for period in source.between(after, until)]

    def gives_up(self, slot: datetime) -> bool:
        """Whether the slot never runs, even if the schedule catches up after a pause."""
        return any(period.is_final for period in self.all_at(slot))

    def reason_of(self, slot: datetime) -> str:
        """Return why the slot did not fire."""
        return next((period.reason for period in self.all_at(slot)), "")

    def span_at(self, moment: datetime) -> Span | None:
        """Return what holds the schedule at the moment, from when, and until when it will not fire; None: nothing."""
        current = last = self.at(moment)
        if current is None or last is None:
            return None
        start = min(period.start for period in self.all_at(moment))
        for _number in range(JOINED_MAX):
            if last.end is None:
                break
            following = self.at(last.end)
            if following is None:
                break
            last = following
        end = None if last.end is not None and self.covers(last.end) else last.end
        for _number in range(JOINED_MAX):
            before = self.all_at(start - INSTANT) if start > EVER else []
            if not before:
                break
            start = min(period.start for period in before)
        return Span(start, end, current, last)


def _ends(period: Period) -> tuple[bool, datetime, bool]:
    """Return the key of the order in which periods end; of two without an end, a schedule's own pause is the last."""
    return period.end is None, period.end or EVER, (period.kind is Hold.PAUSE) == (period.end is None)


FREE = Holds()
