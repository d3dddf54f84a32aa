"""Decides what happens to the slots of a schedule: run, caught up, missed or skipped. Every slot gets a decision.

The slots after ``ScheduleControl.settled_until`` are due: they are never stored, always computed.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django_celery_beat.models import PeriodicTask

from database.messages import gettext as _
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling.holds import FREE, Holds, Span
from maintenance.scheduling.slot_rows import edited_row, paused_row
from maintenance.scheduling.timing import Timing

# A slot this late was missed: no scheduler ticked. A slot that is less late still runs.
MISFIRE_SECONDS = 60.0
LATE = timedelta(seconds=MISFIRE_SECONDS)
# At most this many past slots of one schedule are counted, which bounds the work: seven days of one per minute.
LOOK_BACK_SLOTS = 10_000
NEVER = datetime.min.replace(tzinfo=UTC)
# If a slot is settled further ahead of the clock than this, the clock was set back.
AHEAD = timedelta(minutes=1)


@dataclass(frozen=True)
class Slots:
    """The due slots of one schedule by what happens to them; each list ascending."""

    # Passed while the schedule, or all of them, were paused, and are not caught up.
    paused: list[datetime] = field(default_factory=list)
    missed: list[datetime] = field(default_factory=list)
    caught_up: list[datetime] = field(default_factory=list)
    in_time: list[datetime] = field(default_factory=list)
    # The oldest slot that was read, if older ones may be due too.
    cut_at: datetime | None = None

    @property
    def run(self) -> list[datetime]:
        """The slots that get a run."""
        return self.caught_up + self.in_time

    def first_only(self) -> "Slots":
        """Return the same slots with at most the first run, as for a one-off.

        A one-off that maintenance mode held runs after it.
        """
        run = (self.caught_up or self.in_time or self.paused[-1:])[:1]
        return replace(
            self,
            paused=[slot for slot in self.paused if slot not in run],
            caught_up=[] if run == self.in_time[:1] else run,
            in_time=run if run == self.in_time[:1] else [],
        )


def due_slots(
    timing: Timing, control: ScheduleControl, *, now: datetime, at_most: int = LOOK_BACK_SLOTS
) -> list[datetime]:
    """Return the due slots up to ``now``, ascending; the latest 10,000, or so many, at most.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    span = timing.span_of(at_most)
    while True:
        after = max(control.settled_until, now - span)
        anchor = control.effective_from if timing.every is not None else NEVER
        due = _times_between(timing, after, now, anchor)
        if len(due) >= at_most or after == control.settled_until:
            return list(due[-at_most:])
        span *= 2  # the slots of a crontab of few days lie further back than the span


@lru_cache(maxsize=4)
def _times_between(
    timing: Timing, after: datetime, until: datetime, anchor: datetime
) -> tuple[datetime, ...]:
    """Return the slots. Many schedules that are alike are often decided at one moment, as after a long pause."""
    return tuple(timing.fire_times(after=after, until=until, anchor=anchor))


def next_slot(timing: Timing, control: ScheduleControl) -> datetime | None:
    """Return the first slot that is not settled, past or future; None: it never fires (again).

    Raises:
        InvalidSchedule: for what can never fire.
    """
    if not timing.enabled:
        return None
    return next(timing.fire_times(after=control.settled_until, anchor=control.effective_from), None)


def classify(due: list[datetime], *, now: datetime, control: ScheduleControl, holds: Holds = FREE) -> Slots:
    """Classify the due slots by the misfire policy; ``holds``: what held the schedule."""
    held = {slot for slot in due if holds.covers(slot)}
    free = control.catch_up_after_pause
    to_run = [slot for slot in due if slot not in held or (free and not holds.gives_up(slot))]
    # Of an age as forecast: the tick comes a moment after the end of the hold.
    since = _just_ended(holds, control, now) or now
    late = [slot for slot in to_run if since - slot > LATE]
    in_time = to_run[len(late) :]
    caught_up = _caught_up(late, control, now=since, has_one_in_time=bool(in_time))
    run = {*caught_up, *in_time}
    return Slots(
        paused=[slot for slot in due if slot in held and slot not in run],
        missed=[slot for slot in late if slot not in held and slot not in run],
        caught_up=caught_up,
        in_time=in_time,
        cut_at=cut_at(due),
    )


def _just_ended(holds: Holds, control: ScheduleControl, now: datetime) -> datetime | None:
    """Return the end of what held the schedule until less than a minute ago; None: nothing did."""
    span = holds.span_at(now - LATE)
    ends = (span.end if span is not None else None, control.resumed_at)
    return max((end for end in ends if end is not None and now - LATE <= end <= now), default=None)


def before_the_hold(due: list[datetime], span: Span, *, now: datetime) -> list[datetime]:
    """Return the due slots that are decided although something holds the schedule now: those just before the hold.

    Nothing runs late within a hold. If a slot is late already, or held, this one and all later ones are decided at the
    end of the hold.
    """
    if now - due[0] > LATE:
        return []
    return [slot for slot in due if slot < span.start]


def cut_at(due: list[datetime]) -> datetime | None:
    """Return the first of the slots if the limit cut off older ones; else None."""
    return due[0] if len(due) >= LOOK_BACK_SLOTS else None


def _caught_up(
    late: list[datetime], control: ScheduleControl, *, now: datetime, has_one_in_time: bool
) -> list[datetime]:
    """Return the slots that are caught up: the latest ones, and of these only those inside the schedule's window."""
    number = _caught_up_at_most(control, has_one_in_time=has_one_in_time)
    latest = late[max(0, len(late) - number) :]
    window = control.catch_up_window
    return latest if window is None else [slot for slot in latest if now - slot <= window]


def _caught_up_at_most(control: ScheduleControl, *, has_one_in_time: bool) -> int:
    match control.misfire_policy:
        case ScheduleControl.MisfirePolicy.RUN_ONCE:
            return 0 if has_one_in_time else 1
        case ScheduleControl.MisfirePolicy.RUN_ALL:
            return control.misfire_limit
        case _:
            return 0


def kept_after_pause(
    due: list[datetime], control: ScheduleControl, *, now: datetime, holds: Holds
) -> list[datetime]:
    """Return the slots of a schedule's own pause that are caught up at its end, if it catches up after pauses."""
    # Not those of a day off: the latest of the others.
    may_run = [slot for slot in due if not holds.gives_up(slot)]
    return _caught_up(may_run, control, now=now, has_one_in_time=False)


def caught_up_if_resumed(task: PeriodicTask, control: ScheduleControl, *, now: datetime, holds: Holds) -> int:
    """Return how many slots of its pause the schedule will catch up if it is resumed now.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    number = _caught_up_at_most(control, has_one_in_time=False)
    if not number or not control.catch_up_after_pause or control.paused_at is None:
        return 0
    # Those of days off do not count, however many they are.
    at_most = LOOK_BACK_SLOTS if control.days_off else number
    due = due_slots(Timing.of(task), control, now=now, at_most=at_most)
    kept = kept_after_pause(due, control, now=now, holds=holds)
    return len(kept[:1] if task.one_off else kept)


def record_before_edit(
    task: PeriodicTask,
    control: ScheduleControl,
    slug: str | None,
    *,
    before: Timing,
    now: datetime,
    holds: Holds = FREE,
) -> list[JobRun]:
    """Record the slots before an edit: return the (unsaved) rows for the slots that get no run.

    Sets ``control.last_slot_at`` after them. After a pause, the schedule's own policy may keep the latest of
    them due. ``holds``: what held the schedule.
    """
    due = due_slots(before, control, now=now)
    cut = cut_at(due)
    was_paused, is_resumed = not before.enabled, bool(task.enabled)
    if is_done(task, control, before):
        return []
    if was_paused and is_resumed and control.catch_up_after_pause:
        kept = kept_after_pause(due, control, now=now, holds=holds)
        due = [slot for slot in due if not kept or slot < kept[0]]
    if not due:
        return []
    control.last_slot_at = due[-1]
    if slug is None:
        return []
    if was_paused:
        why = control.pause_reason or _("no reason given")
        return [paused_row(task, slug, due, timing=before, why=why, cut_at=cut)]
    rows = []
    if paused := [slot for slot in due if holds.covers(slot)]:
        rows = [paused_row(task, slug, paused, timing=before, why=holds.reason_of(paused[-1]), cut_at=cut)]
        due = [slot for slot in due if not holds.covers(slot)]
    return [*rows, edited_row(task, slug, due, timing=before, cut_at=cut)] if due else rows


def start_anew(
    task: PeriodicTask,
    control: ScheduleControl,
    slug: str | None,
    *,
    before: Timing | None,
    after: Timing,
    now: datetime,
) -> list[JobRun]:
    """Let the schedule count from ``now``, or from a start that was just set and has passed: a start is a slot.

    Returns the (unsaved) row for slots since that start that are too late to run: such a start is in the past by
    mistake, or because the form was open for some time. If the schedule is paused, resuming it records them.
    """
    control.effective_from = now
    start = _start(after)
    if start is None or start > now or start <= (control.last_slot_at or NEVER):
        return []
    # Earlier slots are not recorded: it is a new schedule, or a one-off that has run and was given another time.
    is_new = before is None and not control.timing
    if not is_new and (before is None or start == _start(before)):
        return []
    control.effective_from = start - timedelta(microseconds=1)
    if not after.enabled:
        return []
    due = due_slots(after, control, now=now)
    late = [slot for slot in due if now - slot > LATE]
    if not late:
        return []
    control.last_slot_at = late[-1]
    if slug is None:
        return []
    return [edited_row(task, slug, late, timing=after, cut_at=cut_at(due), had_passed=True)]


def _start(timing: Timing) -> datetime | None:
    return timing.clocked or timing.start


def is_done(task: PeriodicTask, control: ScheduleControl, before: Timing) -> bool:
    """Whether the schedule is a one-off that was disabled because it has run, not because somebody paused it."""
    return bool(task.one_off) and not before.enabled and control.paused_at is None


def is_ahead_of_time(control: ScheduleControl, *, now: datetime) -> bool:
    """Whether slots in the future are settled: the clock was set back since."""
    return control.settled_until > now + AHEAD
