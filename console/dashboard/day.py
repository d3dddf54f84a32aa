"""The summary of the last 24 hours (slots kept, failures, running runs), and that of the services."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Case, Count, Q, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.urls import reverse

from alerts.conditions import name_of
from console.needs import World
from console.needs.services import lacks_standby
from maintenance.admin.run_figures import percent_done
from maintenance.ledger.usual import Usual, usual_of_each
from maintenance.ledger.worker_health import WorkersState
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES
from maintenance.names import name_bots
from scraping.models import RedditApp, RequestBudget
from scraping.reddit.budget import State, states_of

PERIOD = timedelta(hours=24)
RUNNING_SHOWN = 5
# A budget is short from this used share on.
BUDGET_SHORT = 0.95
BUDGETS_MAX = 50


@dataclass(frozen=True)
class RunningRun:
    """A running run, compared with the usual duration."""

    run: JobRun
    title: str
    usual: Usual | None

    @property
    def percent(self) -> int | None:
        """The progress in per cent; never 100 while it runs."""
        return percent_done(self.run)

    @property
    def is_slow(self) -> bool:
        """Whether it takes much longer than usual."""
        return self.usual is not None and self.usual.is_far_exceeded_by(self.run.duration)


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
    # When it began, to the minute, so that the page does not change at every poll.
    since: datetime

    @property
    def runs_url(self) -> str:
        """The address of the list of the runs that are counted."""
        counted = {"dry_run__exact": 0, "queued_at__gte": self.since.astimezone(UTC).isoformat()}
        return f"{reverse('admin:maintenance_jobrun_changelist')}?{urlencode(counted)}"


def day(world: World) -> Day:
    """Count the last 24 hours."""
    since = (world.now - PERIOD).replace(second=0, microsecond=0)
    lately = JobRun.objects.filter(queued_at__gte=since, dry_run=False).order_by()
    # A slot is worth what its last attempt was.
    is_last = Q(trigger__in=(JobRun.Trigger.SCHEDULE, JobRun.Trigger.RETRY), next_attempt__isnull=True)
    of_schedule = Count("pk", filter=is_last & Q(scheduled_for__isnull=False))
    # One row of missed slots counts all slots of one schedule in one outage; no other row says how many.
    told = Case(When(status=JobRun.Status.MISSED, then=KeyTextTransform("slots_missed", "counts")))
    # Grouped by the column itself, SQLite would read every run ever stored in the order of the index of states.
    state = Coalesce("status", Value(""))
    rows = lately.values(state=state, told=told).annotate(runs=Count("pk"), slots=of_schedule)
    runs, slots, missed = Counter[str](), Counter[str](), 0
    for row in rows:
        runs[row["state"]] += row["runs"]
        slots[row["state"]] += row["slots"]
        if row["state"] == JobRun.Status.MISSED:
            told_slots = str(row["told"])
            missed += row["runs"] * (int(told_slots) if told_slots.isdecimal() else 1)
    not_due = (JobRun.Status.SKIPPED, JobRun.Status.MISSED)
    had_run = sum(number for status, number in slots.items() if status not in not_due)
    lost = sum(slots.get(status, 0) for status in (*FAILURES, JobRun.Status.CANCELLED))
    return Day(
        slots=had_run + missed,
        kept=had_run - lost,
        failed=runs.get(JobRun.Status.FAILED, 0),
        partial=runs.get(JobRun.Status.PARTIAL, 0),
        missed=missed,
        running=running(world),
        number_running=world.number_running,
        since=since,
    )


def running(world: World) -> list[RunningRun]:
    """Return the running runs with the usual duration of their kind."""
    shown = world.running[:RUNNING_SHOWN]
    usual = usual_of_each(shown)
    name_bots(shown, world.person)
    return [RunningRun(run, name_of(run), usual.get(run.pk)) for run in shown]


# --- The services ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """The request allowance of one Reddit app, and how much of it is used."""

    name: str
    state: State

    @property
    def is_short(self) -> bool:
        """Whether scrapes wait for it."""
        return (
            self.state.time_blocked is not None
            or self.state.taken >= BUDGET_SHORT * self.state.window_requests
        )


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
        key=lambda one: (one.is_short, one.state.taken / one.state.window_requests),
        default=None,
    )
