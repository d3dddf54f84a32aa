"""When a schedule will really start its job next: its fire times, less those that something holds."""

from collections.abc import Iterator
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
# Slots of one span that are looked at to tell whether one is caught up after it.
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
    # A slot whose moment has come but that is not ticked yet belongs to the future too.
    since = min(now, max(control.settled_until, now - timedelta(seconds=slots.MISFIRE_SECONDS)))
    if task.one_off and not task.enabled and control.paused_at is None:
        return Forecast([], None, None, is_over=True)  # it has run
    coming = _Coming(task, timing, control, holds_with_pause(task, control, holds))
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


@dataclass(frozen=True)
class _Coming:
    """The times at which a schedule will start its job."""

    task: PeriodicTask
    timing: Timing
    control: ScheduleControl
    holds: Holds

    def first(self, after: datetime, until: datetime | None = None) -> datetime | None:
        """Return the first slot, held or not."""
        times = self.timing.fire_times(after=after, until=until, anchor=self.control.effective_from)
        return next(times, None)

    def late(self, now: datetime) -> datetime | None:
        """Return a slot that passed without a tick, and that runs at the next one, or at the end of the hold."""
        due = slots.due_slots(self.timing, self.control, now=now)
        found = slots.classify(due, now=now, control=self.control, holds=self.holds)
        if self.task.one_off and self.task.enabled:
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
                since, slot = span.end - JUST_BEFORE, self._at_the_end(span, since)
                if slot is not None:
                    yield slot
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
        return self._at_the_end(over, self.control.settled_until) if over and over.end else None

    def _at_the_end(self, span: Span, since: datetime) -> datetime | None:
        """Return the end of the span if a slot in it is caught up then; a one-off that was held runs then."""
        assert span.end is not None
        is_freed = self.task.one_off and span.last.kind is not Hold.PAUSE
        control = self.control
        if self._was_missed(span, since):
            return span.end
        if not is_freed:
            if (
                control.misfire_policy == ScheduleControl.MisfirePolicy.SKIP
                or not control.catch_up_after_pause
            ):
                return None
            if (window := control.catch_up_window) is not None:
                since = max(since, span.end - window - JUST_BEFORE)  # older ones are not caught up
        times = self.timing.fire_times(
            after=since, until=span.end - JUST_BEFORE, anchor=control.effective_from
        )
        looked_at = islice(times, HELD_LOOKED_AT)
        is_due = any(is_freed or not self.holds.gives_up(slot) for slot in looked_at)
        return span.end if is_due else None

    def _was_missed(self, span: Span, since: datetime) -> bool:
        """Whether a slot before the span is not settled: it was missed, and is caught up at the end."""
        if not self.task.enabled or self.control.misfire_policy == ScheduleControl.MisfirePolicy.SKIP:
            return False
        slot = self.first(since, until=span.start - JUST_BEFORE)
        window, end = self.control.catch_up_window, span.end
        return slot is not None and (window is None or end is None or end - slot <= window)
