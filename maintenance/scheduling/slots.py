"""What becomes of the slots of a schedule: run, made up, missed or skipped. None is left without an answer.

Owed are the slots after ``ScheduleControl.settled_until``: never remembered, always computed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django_celery_beat.models import PeriodicTask

from database import clock
from database.messages import gettext as _
from database.messages import joined, ngettext
from maintenance.models import JobRun, MaintenanceMode, ScheduleControl
from maintenance.scheduling.targets import no_such_job
from maintenance.scheduling.timing import Timing

# A slot this late was missed: nobody was there to tick it. Below it, it is only late, and runs.
MISFIRE_SECONDS = 60.0
# Slots of one schedule that one look back counts: a bound on the work, in seven days of a minutely schedule.
LOOK_BACK_SLOTS = 10_000
NEVER = datetime.min.replace(tzinfo=UTC)
# A slot settled further ahead of the clock than this tells that the clock was set back.
AHEAD = timedelta(minutes=1)


@dataclass(frozen=True)
class Slots:
    """The owed slots of one schedule by what becomes of them; each list ascending."""

    # Passed while the schedule or all of them were paused, and shall not be made up.
    paused: list[datetime] = field(default_factory=list)
    missed: list[datetime] = field(default_factory=list)
    made_up: list[datetime] = field(default_factory=list)
    in_time: list[datetime] = field(default_factory=list)
    # The oldest that was looked at, where older ones may be owed too.
    cut_at: datetime | None = None

    @property
    def run(self) -> list[datetime]:
        """The slots that get a run."""
        return self.made_up + self.in_time

    def first_only(self) -> "Slots":
        """Return the same with no more than the first run: what a one-off does.

        Maintenance mode does not use a one-off up: it runs after it.
        """
        run = (self.made_up or self.in_time or self.paused[-1:])[:1]
        return replace(
            self,
            paused=[slot for slot in self.paused if slot not in run],
            made_up=[] if run == self.in_time[:1] else run,
            in_time=run if run == self.in_time[:1] else [],
        )


def owed(timing: Timing, control: ScheduleControl, *, now: datetime) -> list[datetime]:
    """Return the slots up to ``now`` that nothing was done about, ascending; the latest 10,000 at most.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    span = timing.span_of(LOOK_BACK_SLOTS)
    while True:
        after = max(control.settled_until, now - span)
        due = list(timing.fire_times(after=after, until=now, anchor=control.effective_from))
        if len(due) >= LOOK_BACK_SLOTS or after == control.settled_until:
            return due[-LOOK_BACK_SLOTS:]
        span *= 2  # a crontab of few days has its slots further back than the span says


def next_slot(timing: Timing, control: ScheduleControl) -> datetime | None:
    """Return the first slot that nothing was done about, past or future; None: it never fires (again).

    Raises:
        InvalidSchedule: for what can never fire.
    """
    if not timing.enabled:
        return None
    return next(timing.fire_times(after=control.settled_until, anchor=control.effective_from), None)


def part(
    due: list[datetime], *, now: datetime, control: ScheduleControl, standstill: MaintenanceMode | None = None
) -> Slots:
    """Part the due slots by the misfire policy; ``standstill`` is the latest time when nothing scheduled started."""
    stood_still = {slot for slot in due if standstill is not None and standstill.covers(slot)}
    to_run = due if control.catch_up_after_pause else [slot for slot in due if slot not in stood_still]
    late = [slot for slot in to_run if (now - slot).total_seconds() > MISFIRE_SECONDS]
    in_time = to_run[len(late) :]
    number = _made_up_at_most(control, has_one_in_time=bool(in_time))
    made_up = late[max(0, len(late) - number) :]
    run = {*made_up, *in_time}
    return Slots(
        paused=[slot for slot in due if slot in stood_still and slot not in run],
        missed=[slot for slot in late if slot not in stood_still and slot not in run],
        made_up=made_up,
        in_time=in_time,
        cut_at=cut_at(due),
    )


def cut_at(due: list[datetime]) -> datetime | None:
    """Return the first of the slots that one look found; None where it found all that are owed."""
    return due[0] if len(due) >= LOOK_BACK_SLOTS else None


def _made_up_at_most(control: ScheduleControl, *, has_one_in_time: bool) -> int:
    match control.misfire_policy:
        case ScheduleControl.MisfirePolicy.RUN_ONCE:
            return 0 if has_one_in_time else 1
        case ScheduleControl.MisfirePolicy.RUN_ALL:
            return control.misfire_limit
        case _:
            return 0


def close_books(
    task: PeriodicTask,
    control: ScheduleControl,
    slug: str | None,
    *,
    before: Timing,
    now: datetime,
    standstill: MaintenanceMode | None = None,
) -> list[JobRun]:
    """Account for the time before an edit: return the (unsaved) rows for the slots that it leaves without a run.

    Moves ``control.last_slot_at`` behind them. After a pause, the schedule's own policy may leave the latest of
    them owed. ``standstill`` is the latest time when nothing scheduled started.
    """
    due = owed(before, control, now=now)
    cut = cut_at(due)
    was_paused, is_resumed = not before.enabled, bool(task.enabled)
    if is_done(task, control, before):
        return []
    if was_paused and is_resumed and control.catch_up_after_pause:
        due = due[: max(0, len(due) - _made_up_at_most(control, has_one_in_time=False))]
    if not due:
        return []
    control.last_slot_at = due[-1]
    if slug is None:
        return []
    if was_paused:
        why = control.pause_reason or _("no reason given")
        return [paused_row(task, slug, due, timing=before, why=why, cut_at=cut)]
    rows = []
    if standstill is not None and (paused := [slot for slot in due if standstill.covers(slot)]):
        rows = [paused_row(task, slug, paused, timing=before, why=standstill.reason, cut_at=cut)]
        due = [slot for slot in due if not standstill.covers(slot)]
    return [*rows, _edited_row(task, slug, due, timing=before, cut_at=cut)] if due else rows


def _edited_row(
    task: PeriodicTask, slug: str, due: list[datetime], *, timing: Timing, cut_at: datetime | None
) -> JobRun:
    text = ngettext(
        "%(number)s slot had not been ticked when the schedule was changed: %(span)s.",
        "%(number)s slots had not been ticked when the schedule was changed: %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        text,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.MISSED,
        reason=JobRun.Reason.EDITED,
    )


def start_anew(
    task: PeriodicTask,
    control: ScheduleControl,
    slug: str | None,
    *,
    before: Timing | None,
    after: Timing,
    now: datetime,
) -> list[JobRun]:
    """Let the schedule count from ``now``, or from a start that was just set and has come: a start is a slot.

    Returns the (unsaved) row for slots since that start that are too late to run: such a moment lies behind us by
    mistake, or because the form was open for a while. Where the schedule is paused, its resumption accounts for them.
    """
    control.effective_from = now
    start = _start(after)
    if start is None or start > now or start <= (control.last_slot_at or NEVER):
        return []
    # Without a word of the time before: a new schedule, or a one-off that has run and was given another time.
    is_new = before is None and not control.timing
    if not is_new and (before is None or start == _start(before)):
        return []
    control.effective_from = start - timedelta(microseconds=1)
    if not after.enabled:
        return []
    due = owed(after, control, now=now)
    late = [slot for slot in due if (now - slot).total_seconds() > MISFIRE_SECONDS]
    if not late:
        return []
    control.last_slot_at = late[-1]
    return [_passed_row(task, slug, late, timing=after, cut_at=cut_at(due))] if slug else []


def _start(timing: Timing) -> datetime | None:
    return timing.clocked or timing.start


def _passed_row(
    task: PeriodicTask, slug: str, due: list[datetime], *, timing: Timing, cut_at: datetime | None
) -> JobRun:
    text = ngettext(
        "%(number)s slot had passed when the schedule was saved: %(span)s.",
        "%(number)s slots had passed when the schedule was saved: %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        text,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.MISSED,
        reason=JobRun.Reason.EDITED,
    )


def no_job_run(task: PeriodicTask, slug: str, slot: datetime) -> JobRun:
    """Return the (unsaved) run of a slot that nobody can perform: FAILED."""
    now = clock.now()
    return JobRun(
        job=slug,
        trigger=JobRun.Trigger.SCHEDULE,
        status=JobRun.Status.FAILED,
        reason=JobRun.Reason.UNKNOWN_JOB,
        schedule=task,
        schedule_name=task.name,
        scheduled_for=slot,
        queued_at=now,
        finished_at=now,
        error=no_such_job(task),
    )


def is_done(task: PeriodicTask, control: ScheduleControl, before: Timing) -> bool:
    """Whether the schedule is a one-off that was disabled because it has run, not because somebody paused it."""
    return bool(task.one_off) and not before.enabled and control.paused_at is None


def missed_row(
    task: PeriodicTask, slug: str, due: list[datetime], *, timing: Timing, cut_at: datetime | None = None
) -> JobRun:
    """Return the (unsaved) row for slots that passed while no scheduler was alive: one for all of them."""
    text = ngettext(
        "%(number)s slot passed while no scheduler was alive: %(span)s.",
        "%(number)s slots passed while no scheduler was alive: %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        text,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.MISSED,
        reason=JobRun.Reason.NO_SCHEDULER,
    )


def paused_row(
    task: PeriodicTask,
    slug: str,
    due: list[datetime],
    *,
    timing: Timing,
    why: str,
    cut_at: datetime | None = None,
) -> JobRun:
    """Return the (unsaved) row for slots that passed during a pause: one for all of them."""
    text = ngettext(
        "%(number)s slot passed during a pause (%(why)s): %(span)s.",
        "%(number)s slots passed during a pause (%(why)s): %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        text,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.SKIPPED,
        reason=JobRun.Reason.PAUSED,
        why=why,
    )


def _row(
    task: PeriodicTask,
    slug: str,
    due: list[datetime],
    text: str,
    *,
    timing: Timing,
    cut_at: datetime | None,
    status: str,
    reason: str,
    why: str = "",
) -> JobRun:
    """A row for several slots stands on the last of them."""
    number = len(due)
    told = text % {"number": number, "why": why, "span": _span(due, timing)}
    count = "slots_missed" if status == JobRun.Status.MISSED else "slots_skipped"
    return JobRun(
        job=slug,
        trigger=JobRun.Trigger.SCHEDULE,
        status=status,
        reason=reason,
        schedule=task,
        schedule_name=task.name,
        scheduled_for=due[-1],
        finished_at=clock.now(),
        counts={count: number},
        message=joined([told, _("Older ones are not counted.")]) if due[0] == cut_at else told,
    )


def _span(due: list[datetime], timing: Timing) -> str:
    """Return "first to last"; as many as one look back counts may have older ones before them."""
    zone = timing.zone_info
    first, last = (f"{slot.astimezone(zone):%Y-%m-%d %H:%M}" for slot in (due[0], due[-1]))
    if len(due) == 1:
        return f"{first} {zone}"
    return _("%(first)s to %(last)s") % {"first": first, "last": f"{last} {zone}"}


def without_those_that_have_a_row(rows: Iterable[JobRun]) -> list[JobRun]:
    """Return the unsaved rows whose slot has none yet: a tick that was lost after its commit is made again."""
    wanted = list(rows)
    taken = set(
        JobRun.objects.filter(
            trigger=JobRun.Trigger.SCHEDULE,
            schedule_id__in={row.schedule_id for row in wanted},
            scheduled_for__in={row.scheduled_for for row in wanted},
        ).values_list("schedule_id", "scheduled_for")
    )
    return [row for row in wanted if (row.schedule_id, row.scheduled_for) not in taken]


def is_ahead_of_time(control: ScheduleControl, *, now: datetime) -> bool:
    """Whether more was settled than can be: the clock was set back since."""
    return control.settled_until > now + AHEAD
