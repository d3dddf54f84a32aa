"""The metrics and their values, read from the database when they are asked for.

Every web process gives the same answer, because nothing is counted in a process. Each function makes a fixed number of
queries over indexes, however long the history is.
"""

from collections.abc import Callable, Iterator, Sequence

from django.conf import settings
from django.db.models import Count, Q
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from alerts.models import Alert
from alerts.rules import RULES
from database.estimates import table_sizes
from maintenance.ledger.totals import DURATION_BOUNDS, Durations, counted
from maintenance.ledger.worker_health import worker_health
from maintenance.models import JobRun
from maintenance.models.statuses import OPEN
from maintenance.scheduling.scheduler_health import scheduler_health
from scraping.compliance.coverage import coverage
from scraping.models import BotConfig, RedditApp, RedditComment, RedditPost, RequestBudget, ScrapeSession
from scraping.reddit.budget import states_of

TABLES = (RedditPost, RedditComment, ScrapeSession, JobRun)
# More apps than this would make more time series than a dashboard can show.
APPS_MAX = 200


def runs() -> Iterator[Metric]:
    """Finished runs, their durations, and what they stored and deleted; open runs by state."""
    totals = counted()
    finished = CounterMetricFamily(
        "console_runs",
        "Finished runs since monitoring began; each slot that was missed has the status 'missed'.",
        labels=["job", "status", "trigger"],
    )
    for labels, number in sorted(totals.runs.items()):
        finished.add_metric(labels, number)
    yield finished
    durations = HistogramMetricFamily(
        "console_run_duration_seconds",
        "Time from start to end of each attempt that did its work.",
        labels=["job"],
    )
    for job, one in sorted(totals.durations.items()):
        durations.add_metric([job], _buckets(one), one.seconds)
    yield durations
    deleted = CounterMetricFamily("console_rows_deleted", "Rows deleted by jobs.", labels=["table"])
    counts = CounterMetricFamily("console_run_counts", "What jobs counted, by name.", labels=["name"])
    for name, number in sorted(totals.counts.items()):
        # Deletions are counted under the label of their model.
        (deleted if "." in name else counts).add_metric([name], number)
    yield deleted
    yield counts
    unfinished = GaugeMetricFamily(
        "console_runs_open", "Queued, running and blocked runs.", labels=["job", "status"]
    )
    rows = JobRun.objects.filter(status__in=OPEN).order_by().values_list("job", "status")
    for job, status, number in rows.annotate(number=Count("pk")).order_by("job", "status"):
        unfinished.add_metric([job, status], number)
    yield unfinished


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    """Return the cumulative counts that the format asks for."""
    reached, buckets = 0, []
    for bound, number in zip([*map(str, DURATION_BOUNDS), "+Inf"], durations.runs, strict=True):
        reached += number
        buckets.append((bound, float(reached)))
    return buckets


def scheduler() -> Iterator[Metric]:
    """Whether schedules are ticked, and how late."""
    health = scheduler_health()
    yield _gauge("console_scheduler_up", "1 while a scheduler leads and ticks.", health.is_alive)
    yield _gauge(
        "console_scheduler_standbys", "Schedulers that would take over at once.", len(health.standbys)
    )
    yield _gauge("console_schedules_overdue", "Schedules whose slot passed without a tick.", health.overdue)
    if health.tick_age_seconds is not None:
        yield _gauge(
            "console_scheduler_tick_age_seconds", "Time since the last tick.", health.tick_age_seconds
        )
    if health.lag_seconds is not None:
        yield _gauge(
            "console_scheduler_lag_seconds", "How late the latest slots were ticked.", health.lag_seconds
        )


def workers() -> Iterator[Metric]:
    """The workers, and the runs that wait for one."""
    health = worker_health()
    yield _gauge("console_workers_alive", "Workers with a fresh heartbeat.", len(health.alive))
    yield _gauge(
        "console_workers_listening",
        "Workers that would take a run that is queued now.",
        len(health.listening),
    )
    yield _gauge("console_queue_runs", "Queued runs that only wait for a worker.", health.waiting)
    yield _gauge(
        "console_queue_age_seconds",
        "How long the first of them has waited.",
        health.queue_age.total_seconds(),
    )


def content() -> Iterator[Metric]:
    """The sizes of the tables, and how much of the content was verified with Reddit."""
    sizes = table_sizes(TABLES)
    rows = GaugeMetricFamily(
        "console_table_rows", "Rows, estimated for large tables on PostgreSQL.", labels=["table"]
    )
    size = GaugeMetricFamily("console_table_bytes", "Size with indexes; PostgreSQL only.", labels=["table"])
    for model, one in sizes.items():
        rows.add_metric([model._meta.label], one.rows)
        if one.bytes is not None:
            size.add_metric([model._meta.label], one.bytes)
    yield rows
    yield size
    verified = coverage(sizes)
    if verified.percent is not None:
        yield _gauge(
            "console_compliance_verified_ratio",
            "Share of stored items verified with Reddit in the last 48 hours.",
            verified.percent / 100,
        )
    yield _gauge(
        "console_compliance_target_ratio",
        "The share that should be verified.",
        verified.target_percent / 100,
    )


def reddit() -> Iterator[Metric]:
    """The request budget of each Reddit app, and the bots by state."""
    limit = GaugeMetricFamily(
        "console_reddit_requests_limit", "Requests that Reddit allows per window.", labels=["app"]
    )
    used = GaugeMetricFamily(
        "console_reddit_requests_used", "Requests used or given out in this window.", labels=["app"]
    )
    blocked = GaugeMetricFamily(
        "console_reddit_blocked_seconds", "Time until Reddit takes requests again.", labels=["app"]
    )
    # A client id identifies the account of an app's owner; the app's own name says enough.
    names = dict(RedditApp.objects.order_by("-pk").values_list("client_id", "name")[:APPS_MAX])
    names.setdefault(settings.REDDIT_CLIENT_ID, "default")
    for client_id, state in states_of(RequestBudget.objects.filter(client_id__in=names)).items():
        labels = [names[client_id]]
        limit.add_metric(labels, state.window_requests)
        used.add_metric(labels, state.taken)
        blocked.add_metric(labels, max(0.0, state.seconds_blocked))
    yield limit
    yield used
    yield blocked
    bots = GaugeMetricFamily("console_bots", "Bots by state.", labels=["state"])
    is_stopped = Q(paused_at__isnull=False)
    states = {
        "active": Q(is_active=True),
        "stopped_by_reddit": Q(is_active=False) & is_stopped,
        "inactive": Q(is_active=False) & ~is_stopped,
    }
    found = BotConfig.objects.aggregate(
        **{name: Count("pk", filter=condition) for name, condition in states.items()}
    )
    for name, number in found.items():
        bots.add_metric([name], number)
    yield bots


def alerts() -> Iterator[Metric]:
    """The open alerts by rule; a rule without one is 0, so that its end is seen."""
    opened = GaugeMetricFamily("console_alerts_open", "Open alerts.", labels=["rule", "severity"])
    rows = Alert.objects.open().order_by().values_list("rule").annotate(number=Count("pk"))
    numbers = dict(rows)
    for rule in RULES.values():
        opened.add_metric([rule.code, rule.severity], numbers.get(rule.code, 0))
    yield opened


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


# Each part may fail without the others: a figure that cannot be read is left out, and the failure is a metric itself.
PARTS: Sequence[tuple[str, Callable[[], Iterator[Metric]]]] = (
    ("runs", runs),
    ("scheduler", scheduler),
    ("workers", workers),
    ("content", content),
    ("reddit", reddit),
    ("alerts", alerts),
)
