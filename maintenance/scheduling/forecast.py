"""When a schedule will really start its job next: its fire times, less those that something holds."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from django_celery_beat.models import PeriodicTask

from maintenance.models import ScheduleControl
from maintenance.scheduling import slots
from maintenance.scheduling.holds import INSTANT, Holds, OwnPause, Period, Span
from maintenance.scheduling.holds import Hold as Hold
from maintenance.scheduling.timing import Timing

JUST_BEFORE = timedelta(microseconds=1)
# A forecast looks behind this many spans in which the schedule is held, such as windows of every week.
SPANS_MAX = 1_000
# Slots of a one-off in one span that are looked at to tell whether it runs after it.
HELD_LOOKED_AT = 1_000
# Held slots that a preview shows, and of one span.
HELD_MAX, HELD_IN_SPAN = 20, 3


@dataclass(frozen=True)
class Forecast:
    """The future of one schedule."""

    # The next times, ascending, in UTC; each will happen unless somebody changes something.
    times: list[datetime]
    # What holds the schedule now, and must end before the first of them; None: nothing.
    held: Period | None
    # When all that holds it has ended; None: nothing holds it, or there is no end.
    held_until: datetime | None
    # It will not fire again, even if a pause ends.
    is_over: bool

    @property
    def hold(self) -> Hold:
        """The kind of what holds it."""
        return self.held.kind if self.held else Hold.NONE

    @property
    def next_at(self) -> datetime | None:
        """The first of the times."""
        return self.times[0] if self.times else None


def forecast(
    task: PeriodicTask,
    timing: Timing,
    control: ScheduleControl,
    *,
    now: datetime,
    holds: Holds,
    number: int = 1,
    until: datetime | None = None,
) -> Forecast:
    """Return the next times of the schedule, up to ``number`` and to ``until``, inclusive.

    ``holds``: what holds it beside its own pause.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    if task.one_off and not task.enabled and control.paused_at is None:
        return Forecast([], None, None, is_over=True)  # it has run
    all_holds = holds_with_pause(task, control, holds)
    control = as_resumed(task, timing, control, holds)
    coming = _Coming(task, timing, control, all_holds, but_its_pause=holds)
    # A slot whose moment has come but that is not ticked yet belongs to the future too.
    since = min(now, max(control.settled_until, now - slots.LATE))
    span = coming.holds.span_at(now + INSTANT)  # also a switch that was switched on at this very moment
    times = coming.times(since, span)
    if until is not None:
        times = takewhile(lambda at: at <= until, times)
    first = list(islice(times, 1 if task.one_off else number))
    is_over = not first and coming.first(since) is None
    if is_over and (late := coming.late(now)) is not None:
        is_over, first = False, [late] if span is None else []
    return Forecast(first, span.last if span else None, span.end if span else None, is_over)


def holds_with_pause(task: PeriodicTask, control: ScheduleControl, holds: Holds) -> Holds:
    """Return what holds the schedule, its own pause included."""
    return holds if task.enabled else holds.beside(OwnPause(control))


@dataclass(frozen=True)
class HeldSlot:
    """A slot that will not happen at its time."""

    at: datetime
    period: Period


def held_slots(
    timing: Timing, control: ScheduleControl, *, after: datetime, until: datetime, holds: Holds
) -> list[HeldSlot]:
    """Return slots between two moments that something holds: of each span the first few, and 20 at most.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    found: list[HeldSlot] = []
    anchor = control.effective_from
    while len(found) < HELD_MAX:
        times = timing.fire_times(after=after, until=until, anchor=anchor)
        first = next((slot for slot in times if holds.covers(slot)), None)
        span = holds.span_at(first) if first is not None else None
        if first is None or span is None:
            break
        end = until if span.end is None else min(until, span.end - JUST_BEFORE)
        inside = timing.fire_times(after=first - JUST_BEFORE, until=end, anchor=anchor)
        found += [
            HeldSlot(slot, period)
            for slot in islice(inside, HELD_IN_SPAN)
            if (period := holds.at(slot)) is not None
        ]
        if span.end is None or span.end > until:
            break
        after = span.end - JUST_BEFORE
    return found[:HELD_MAX]


def caught_up_at(
    task: PeriodicTask, timing: Timing, control: ScheduleControl, slot: datetime, holds: Holds
) -> datetime | None:
    """Return when a run starts for a slot that ``holds`` will hold, at the end of all that holds it.

    None: none does, or there is no end yet.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    all_holds = holds_with_pause(task, control, holds)
    coming = _Coming(task, timing, as_resumed(task, timing, control, holds), all_holds, but_its_pause=holds)
    span = all_holds.span_at(slot)
    if span is None or span.end is None:
        return None
    return span.end if coming.runs_at_the_end(span, slot - JUST_BEFORE, span.end) else None


def as_resumed(task: PeriodicTask, timing: Timing, control: ScheduleControl, holds: Holds) -> ScheduleControl:
    """Return a copy of the control as the scheduler leaves it at the end of the schedule's own pause, if it has one."""
    end = control.paused_until
    if task.enabled or end is None:
        return control
    control, just_before = copy(control), end - JUST_BEFORE
    if not control.catch_up_after_pause:
        # It counts from the end of its pause, also where an interval has its anchor.
        control.effective_from = max(control.effective_from, just_before)
        return control
    kept: list[datetime] | None = (
        None  # not known, nor needed: each slot is judged at the end of what holds it
    )
    if control.misfire_policy == ScheduleControl.MisfirePolicy.SKIP:
        kept = []
    elif task.one_off:
        due = slots.due_slots(timing, control, now=just_before)
        kept = slots.kept_after_pause(due, control, now=just_before, holds=holds)
    if kept == []:
        control.last_slot_at = max(control.settled_until, just_before)
    return control


@dataclass(frozen=True)
class _Coming:
    """The times at which a schedule will start its job."""

    task: PeriodicTask
    timing: Timing
    # As it will be at the end of the schedule's own pause, if it has one.
    control: ScheduleControl
    holds: Holds
    # What holds the schedule beside its own pause: all that a tick knows.
    but_its_pause: Holds

    def first(self, after: datetime, until: datetime | None = None) -> datetime | None:
        """Return the first slot, held or not."""
        times = self.timing.fire_times(after=after, until=until, anchor=self.control.effective_from)
        return next(times, None)

    def late(self, now: datetime) -> datetime | None:
        """Return a slot that passed without a tick, and that runs at the next one, or at the end of the hold."""
        due = slots.due_slots(self.timing, self.control, now=now)
        found = slots.classify(due, now=now, control=self.control, holds=self.but_its_pause)
        if self.task.one_off:
            found = found.first_only()
        return next(iter(found.run), None)

    def times(self, since: datetime, span: Span | None) -> Iterator[datetime]:
        """Yield the times after ``since``, ascending; ``span``: what holds the schedule now."""
        if span is None and (slot := self._at_an_end_just_now(since)) is not None:
            yield slot
            since = slot
        if span is not None:
            # Whatever is not settled yet, however old, is decided at the end.
            since = self.control.settled_until
        for _number in range(SPANS_MAX):
            if span is not None and span.end is None:
                return
            if span is not None and span.end is not None:
                # A slot at the exact end is not held.
                since, runs = span.end - JUST_BEFORE, self.runs_at_the_end(span, since, span.end)
                if runs:
                    yield span.end
                    since = span.end
            for slot in self.timing.fire_times(after=since, anchor=self.control.effective_from):
                if (span := self.holds.span_at(slot)) is not None:
                    since = slot - JUST_BEFORE
                    break
                yield slot
            else:
                return

    def _at_an_end_just_now(self, since: datetime) -> datetime | None:
        """Return the end of a span that has just ended, if a slot is caught up at it and is not ticked yet."""
        over = self.holds.span_at(since)
        if over is None or over.end is None:
            return None
        return over.end if self.runs_at_the_end(over, self.control.settled_until, over.end) else None

    def runs_at_the_end(self, span: Span, since: datetime, end: datetime) -> bool:
        """Whether a slot after ``since`` runs when the span ends, as ``slots.classify`` will decide then."""
        youngest = end - JUST_BEFORE
        if self.task.one_off and self._is_freed(since, until=youngest):
            return True
        if self.control.misfire_policy == ScheduleControl.MisfirePolicy.SKIP:
            since = max(since, end - slots.LATE - JUST_BEFORE)  # nor is it late then
        elif (window := self.control.catch_up_window) is not None:
            since = max(since, end - window - JUST_BEFORE)  # older ones are not caught up
        # Without catching up after a pause, only a slot that was missed before the span.
        until = youngest if self.control.catch_up_after_pause else span.start - JUST_BEFORE
        for _number in range(SPANS_MAX):
            if since >= until or (slot := self.first(since, until)) is None:
                return False
            day_off = next((one for one in self.holds.all_at(slot) if one.is_final), None)
            if day_off is None:
                return True
            if day_off.end is None:
                return False
            since = day_off.end - JUST_BEFORE
        return False

    def _is_freed(self, since: datetime, *, until: datetime) -> bool:
        """Whether a slot is held by anything but the schedule's own pause: a one-off runs after that."""
        times = self.timing.fire_times(after=since, until=until, anchor=self.control.effective_from)
        return any(map(self.but_its_pause.covers, islice(times, HELD_LOOKED_AT)))
