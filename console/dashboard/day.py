"""The summary of the last 24 hours (slots kept, failures, running runs), and that of the services."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.cache import caches
from django.db.models import Count, IntegerField, Q, Value

from console.dashboard.row_figures import quantile
from console.needs import World
from console.needs.runs import name_of, slots_of
from console.needs.services import lacks_standby
from database.slices import first_of_each
from maintenance.ledger.worker_health import WorkersState
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES
from maintenance.registry import get_job, is_known
from scraping.models import RedditApp, RequestBudget
from scraping.reddit.budget import State, states_of

PERIOD = timedelta(hours=24)
# How many rows of missed slots are summed: one row counts all slots of one schedule in one outage.
MISSED_ROWS_MAX = 1_000
RUNNING_SHOWN = 5
# A run is slow if it takes this many times the usual duration, and at least this long.
SLOW_TIMES, SLOW_MIN = 2, timedelta(minutes=1)
USUAL_RUNS = 30
USUAL_KEPT_SECONDS = 300
# A budget is short from this used share on.
BUDGET_SHORT = 0.95
BUDGETS_MAX = 50


@dataclass(frozen=True)
class RunningRun:
    """A running run, compared with the usual duration."""

    run: JobRun
    title: str
    usual: timedelta | None

    @property
    def percent(self) -> int | None:
        """The progress in per cent; never 100 while it runs."""
        total = self.run.progress_total
        return min(99, 100 * self.run.progress_done // total) if total else None

    @property
    def is_slow(self) -> bool:
        """Whether it takes much longer than usual."""
        taken = self.run.duration
        if taken is None or self.usual is None:
            return False
        return taken > SLOW_MIN and taken > SLOW_TIMES * self.usual


@dataclass(frozen=True)
class Day:
    """Figures of the last 24 hours, without dry runs."""

    # Slots that became due, and those of them that have succeeded or may still succeed.
    slots: int
    kept: int
    # Runs, scheduled or requested.
    failed: int
    partial: int
    missed: int
    running: Sequence[RunningRun]
    number_running: int


def day(world: World) -> Day:
    """Count the last 24 hours."""
    lately = JobRun.objects.filter(queued_at__gte=world.now - PERIOD, dry_run=False).order_by()
    of_schedule = Count("pk", filter=Q(trigger=JobRun.Trigger.SCHEDULE))
    rows = lately.values("status").annotate(runs=Count("pk"), slots=of_schedule)
    runs = {row["status"]: row["runs"] for row in rows}
    slots = {row["status"]: row["slots"] for row in rows}
    missed = 0
    if runs.get(JobRun.Status.MISSED):
        found = lately.filter(status=JobRun.Status.MISSED).only("counts")[:MISSED_ROWS_MAX]
        missed = sum(slots_of(run) for run in found)
    not_due = (JobRun.Status.SKIPPED, JobRun.Status.MISSED)
    had_run = sum(number for status, number in slots.items() if status not in not_due)
    lost = sum(slots.get(status, 0) for status in FAILURES)
    return Day(
        slots=had_run + missed,
        kept=had_run - lost,
        failed=runs.get(JobRun.Status.FAILED, 0),
        partial=runs.get(JobRun.Status.PARTIAL, 0),
        missed=missed,
        running=running(world),
        number_running=len(world.running),
    )


def running(world: World) -> list[RunningRun]:
    """Return the running runs with the median duration of the last real runs of the same schedule, or job."""
    shown = world.running[:RUNNING_SHOWN]
    usual = _usual(shown)
    return [RunningRun(run, name_of(run), usual.get(_key(run))) for run in shown]


def _key(run: JobRun) -> str:
    by_schedule = run.schedule_id and is_known(run.job) and get_job(run.job).concurrent_by
    return f"usual:{run.job}:{run.schedule_id if by_schedule else ''}"


def _usual(runs: Sequence[JobRun]) -> Mapping[str, timedelta | None]:
    if not runs:
        return {}
    cache = caches["process"]
    wanted = {_key(run): run for run in runs}
    kept = cache.get_many(wanted)
    stale = [key for key in wanted if key not in kept]
    parts = []
    for part, key in enumerate(stale):
        run, of_schedule = wanted[key], not key.endswith(":")
        done = JobRun.objects.filter(status=JobRun.Status.SUCCEEDED, dry_run=False)
        done = done.annotate(part=Value(part, IntegerField())).only("status", "started_at", "finished_at")
        if of_schedule:
            slots = done.filter(schedule=run.schedule_id, trigger=JobRun.Trigger.SCHEDULE)
            parts.append(slots.order_by("-scheduled_for")[:USUAL_RUNS])
        else:
            parts.append(done.filter(job=run.job).order_by("-pk")[:USUAL_RUNS])
    times: dict[str, list[timedelta]] = {key: [] for key in stale}
    for run in first_of_each(parts):
        if run.duration is not None:
            times[stale[run.part]].append(run.duration)  # type: ignore[attr-defined]
    made = {key: quantile(sorted(some), 0.5) for key, some in times.items()}
    cache.set_many(made, USUAL_KEPT_SECONDS)
    return {**kept, **made}


# --- The services ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """The request allowance of one Reddit app, and how much of it is used."""

    name: str
    state: State

    @property
    def is_short(self) -> bool:
        """Whether scrapes wait for it."""
        taken = self.state.used + self.state.leased
        return self.state.time_blocked is not None or taken >= BUDGET_SHORT * self.state.window_requests


@dataclass(frozen=True)
class Services:
    """Schedulers, workers, queue and request budget, each with its problem."""

    lacks_standby: bool
    workers_are_well: bool
    queue_is_late: bool
    budget: Budget | None


def services(world: World) -> Services:
    """Return the state of the services, with warnings."""
    state = world.workers.state
    return Services(
        lacks_standby=lacks_standby(world),
        workers_are_well=world.workers.is_well and len(world.workers.listening) == len(world.workers.alive),
        queue_is_late=state in (WorkersState.BUSY, WorkersState.STUCK),
        budget=budget(world),
    )


def budget(world: World) -> Budget | None:
    """Return the budget with the largest used share among those that the person may see."""
    if not world.may("scraping.view_redditapp"):
        return None
    own = RedditApp.objects.visible_to(world.person).values("client_id")
    clients = RequestBudget.objects.filter(Q(client_id__in=own) | Q(client_id=settings.REDDIT_CLIENT_ID))
    found = [
        Budget(name, state) for name, state in states_of(clients.order_by("client_id")[:BUDGETS_MAX]).items()
    ]
    return max(
        found,
        key=lambda one: (one.is_short, one.state.used / one.state.window_requests),
        default=None,
    )
