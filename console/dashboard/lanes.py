"""The content of the timeline: runs and future slots of each row of the Jobs table, pauses, maintenance windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.db.models import BooleanField, Case, When
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import duration, local, wall_clock
from console.charts.timeline import SPAN, Lane, PastRun, Slot, Span, svg
from console.dashboard.job_rows import JobRow
from console.needs import World
from maintenance.ledger.run_sums import RAN
from maintenance.models import JobRun
from maintenance.models.maintenance_mode import ALL
from maintenance.models.statuses import FAILURES
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.forecast import forecast, holds_with_pause
from maintenance.scheduling.holds import Hold, Period
from maintenance.scheduling.timing import Timing

LANES_MAX = 16
RUNS_MAX = 600
# One slot per five minutes; more of them would look like a bar.
SLOTS_MAX = 73
FAR = timedelta(days=3_650)
# The drawing advances once per minute, so that it does not change at every poll.
STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Timeline:
    """The drawing, and its content as text; and what it leaves out."""

    drawing: SafeString
    sentences: list[str]
    # Of so many runs only the newest are drawn: those since this time. None: all are.
    drawn_since: datetime | None
    number_drawn: int
    # The list of all runs of these hours.
    runs_url: str
    # Rows of the Jobs table that have no lane.
    rows_left_out: int


def timeline(world: World, rows: Sequence[JobRow]) -> Timeline:
    """Return the timeline of the first rows."""
    now = world.now.replace(second=0, microsecond=0)
    with_content = [row for row in rows if row.schedule or row.last_run]
    shown = with_content[:LANES_MAX]
    past, drawn_since = _past(world, now, shown)
    shared = world.modes.holds_of_group("").between(now - SPAN, now + SPAN)
    windows = [_shaded(period, now) for period in shared]
    lanes = []
    slots = _marked(shown, {row.key: _slots(world, row, now) for row in shown})
    for row in shown:
        pauses = _pauses(world, row, now)
        lanes.append(Lane(row.title, past.get(row.key, []), slots[row.key], pauses))
    label = _("Timeline: the last six hours and the next six")
    unknown = Span(now - SPAN, drawn_since) if drawn_since else None
    since = urlencode({"queued_at__gte": (now - SPAN).astimezone(UTC).isoformat()})
    return Timeline(
        drawing=svg(lanes, now=now, windows=windows, label=label, unknown=unknown),
        sentences=[_sentence(lane) for lane in lanes],
        drawn_since=drawn_since,
        number_drawn=sum(len(lane.runs) for lane in lanes),
        runs_url=f"{reverse('admin:maintenance_jobrun_changelist')}?{since}",
        rows_left_out=len(with_content) - len(shown),
    )


# --- The past ---------------------------------------------------------------------------------------


def _past(
    world: World, now: datetime, rows: Sequence[JobRow]
) -> tuple[dict[str, list[PastRun]], datetime | None]:
    """Return the runs of each row, and since when they are all there; None: since the beginning."""
    by_schedule = {row.schedule.pk: row.key for row in rows if row.schedule}
    by_job = {row.job.slug: row.key for row in rows if row.is_whole}
    found: dict[str, list[PastRun]] = {row.key: [] for row in rows}
    # One expression: as a condition on each column, a database could choose to read all runs ever stored of a job.
    of_rows = Case(
        When(schedule__in=list(by_schedule), then=True),
        When(job__in=list(by_job), then=True),
        default=False,
        output_field=BooleanField(),
    )
    fields = (
        "job",
        "schedule",
        "status",
        "queued_at",
        "started_at",
        "finished_at",
        "heartbeat_at",
        "dry_run",
    )
    lately = JobRun.objects.filter(queued_at__gte=now - SPAN).exclude(status=JobRun.Status.QUEUED)
    newest = lately.alias(of_rows=of_rows).filter(of_rows=True).order_by("-queued_at").only(*fields)
    runs = list(newest[: RUNS_MAX + 1])
    drawn_since = runs[RUNS_MAX - 1].queued_at if len(runs) > RUNS_MAX else None
    del runs[RUNS_MAX:]
    # A run that stands still may have begun long ago.
    known = {run.pk for run in runs}
    runs += [run for run in world.running if run.pk not in known]
    before, after = reverse("admin:maintenance_jobrun_change", args=[0]).rsplit("0", 1)
    labels = {status.value: capfirst(str(status.label)) for status in JobRun.Status}
    for run in runs:
        key = by_schedule.get(run.schedule_id) or by_job.get(run.job)
        if key is None:
            continue
        begin = run.started_at or run.queued_at
        stopped = now if run.status == JobRun.Status.RUNNING else begin
        words = f"#{run.pk} · {labels[run.status]} · {wall_clock(local(begin))}"
        if run.status != JobRun.Status.RUNNING:  # its time grows, and the drawing would be sent at each poll
            words = f"{words} · {duration(run.duration)}"
        end = run.finished_at if run.started_at and run.finished_at else stopped
        found[key].append(PastRun(run.pk, run.status, begin, end, words, f"{before}{run.pk}{after}"))
    return found, drawn_since


# --- What is to come ----------------------------------------------------------------------------------


def _slots(world: World, row: JobRow, now: datetime) -> list[datetime]:
    """Return the times at which the schedule will fire: not while something holds it."""
    reading, task = row.reading, row.schedule
    if task is None or reading is None or reading.is_broken or reading.is_over:
        return []
    first, end = reading.next_run_at, now + SPAN
    if first is None or first > end:
        return []
    try:
        coming = forecast(
            task,
            Timing.of(task),
            schedules.control_or_default(task),
            now=world.now,
            holds=world.modes.holds_of(task),
            number=SLOTS_MAX,
            until=end,
        )
        # One that no scheduler has ticked yet is to come now.
        return [max(at, now) for at in coming.times]
    except (InvalidSchedule, KeyError):  # its time zone is unknown here
        return []


def _marked(rows: Sequence[JobRow], times: dict[str, list[datetime]]) -> dict[str, list[Slot]]:
    """Mark conflicting slots: two of one job in the same minute, or the second before a usual run of the first ends."""
    marked: dict[str, list[Slot]] = {}
    for row in rows:
        others = [
            (at, other.usual.p50 if other.usual else timedelta())
            for other in rows
            if other.key != row.key and _may_collide(row, other)
            for at in times[other.key]
        ]
        own = times[row.key]
        usual = row.usual.p50 if row.usual else timedelta()
        slots = []
        for number, at in enumerate(own):
            is_met = any(
                abs((at - other).total_seconds()) < 60 or other < at < other + took for other, took in others
            )
            is_late = number > 0 and own[number - 1] + usual > at
            slots.append(Slot(at, collides=is_met or is_late))
        marked[row.key] = slots
    return marked


def _may_collide(one: JobRow, other: JobRow) -> bool:
    if one.job.slug != other.job.slug:
        return False
    mine, theirs = (row.reading.params if row.reading else None for row in (one, other))
    if mine is None or theirs is None:
        return False
    return one.job.concurrency_key(mine) == one.job.concurrency_key(theirs)


def _pauses(world: World, row: JobRow, now: datetime) -> list[Span]:
    """Return what holds this schedule and not all of them."""
    task = row.schedule
    if task is None or row.reading is None or row.reading.is_over:
        return []
    holds = holds_with_pause(task, schedules.control_or_default(task), world.modes.holds_of(task))
    of_all = (Hold.MAINTENANCE, Hold.WINDOW)
    return [
        _shaded(period, now)
        for period in holds.between(now - SPAN, now + SPAN)
        if period.scope != ALL or period.kind not in of_all
    ]


def _shaded(period: Period, now: datetime) -> Span:
    return Span(period.start, period.end or now + FAR)


# --- In words -----------------------------------------------------------------------------------------


def _sentence(lane: Lane) -> str:
    # Slots that were missed or skipped are no runs.
    runs = sum(run.status in RAN for run in lane.runs)
    failed = sum(run.status in FAILURES for run in lane.runs)
    parts = [ngettext("%(number)s run", "%(number)s runs", runs) % {"number": runs}]
    if failed:
        parts.append(ngettext("%(number)s failed", "%(number)s failed", failed) % {"number": failed})
    if lane.slots:
        told = {"number": len(lane.slots), "time": wall_clock(local(lane.slots[0].at))}
        text = ngettext(
            "%(number)s slot to come, at %(time)s",
            "%(number)s slots to come, first at %(time)s",
            len(lane.slots),
        )
        parts.append(text % told)
    else:
        parts.append(_("nothing to come"))
    collisions = sum(slot.collides for slot in lane.slots)
    if collisions:
        text = ngettext("%(number)s collision", "%(number)s collisions", collisions)
        parts.append(text % {"number": collisions})
    if lane.pauses:
        parts.append(_("paused"))
    return _("%(what)s: %(text)s") % {"what": lane.title, "text": " · ".join(parts)}
