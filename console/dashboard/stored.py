"""Stored content and its freshness: silent subreddits, tables and what the next purge deletes, recent changes.

It changes slowly, so the page loads it as a separate fragment.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.cache import caches
from django.db import connection
from django.db.models import Model, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.text import capfirst

from audit.models import Event
from audit.pages import newest_changes_for
from audit.words import in_words
from console.needs import World
from database.estimates import TableSize, table_sizes
from database.slices import first_of_each
from maintenance.models import JobRun
from maintenance.models.statuses import WORKED
from maintenance.purging.kept_plan import made_at, tables_of
from maintenance.purging.plan import TablePlan
from maintenance.registry import jobs
from maintenance.retention import is_made_under, stored_retentions
from scraping.compliance.coverage import Coverage, coverage
from scraping.models import Freshness, RedditComment, RedditPost, ScrapeSession
from scraping.models.freshness import UNUSUAL

STORED: tuple[type[Model], ...] = (RedditPost, RedditComment, ScrapeSession, JobRun)
FRESHNESS_SHOWN = 8
EVENTS_SHOWN = 6
# A forecast is not given beyond ten years.
FAR_DAYS = 3_650
DAY, WEEK = timedelta(days=1), timedelta(days=7)
# How many of the newest runs of a job are searched for a plan.
RUNS_READ = 200
# How many purges of the last week are added up: one in five minutes.
PURGES_READ = 2_016
KEPT_SECONDS = 60
# The names under which a scrape counts the rows that it stored.
_STORED_AS: Mapping[str, type[Model]] = {"posts_new": RedditPost, "comments_new": RedditComment}


@dataclass(frozen=True)
class Planned:
    """What the next purge deletes from a table, according to the newest plan."""

    rows: int
    of: int
    at: datetime | None
    run: int

    @property
    def share(self) -> float:
        """The share of the table in per cent, for a drawing that is 100 units wide."""
        return round(100 * min(1.0, self.rows / self.of), 1) if self.of else 0.0


@dataclass(frozen=True)
class Table:
    """A line of the storage card."""

    name: str
    size: TableSize
    planned: Planned | None
    # Rows stored minus rows deleted in the last week; None: unknown to the ledger.
    growth: int | None


@dataclass(frozen=True)
class Storage:
    """The storage card."""

    tables: list[Table]
    coverage: Coverage
    # Days until the disk is full at this rate; None: it does not fill up, or its size is unknown.
    days_left: int | None

    @property
    def is_far_from_full(self) -> bool:
        """Whether the number of days would only look exact."""
        return self.days_left is not None and self.days_left > FAR_DAYS


def freshness(world: World) -> list[Freshness]:
    """Return the subreddits of the person's bots: silent ones, unusual ones, then by when the next post is due."""
    if not world.may("scraping.view_botconfig"):
        return []
    rows = Freshness.objects.visible_to(world.person).filter(config__is_active=True) | (
        Freshness.objects.visible_to(world.person).filter(silent_since__isnull=False)
    )
    rows = rows.select_related("config").defer("rates", "yields")
    shown = list(rows.silent().order_by("silent_since", "pk")[:FRESHNESS_SHOWN])
    if len(shown) < FRESHNESS_SHOWN:
        shown += rows.unusual().order_by("counted_from", "pk")[: FRESHNESS_SHOWN - len(shown)]
    if len(shown) < FRESHNESS_SHOWN:
        coming = rows.filter(silent_since__isnull=True, due_at__isnull=False).exclude(verdict__in=UNUSUAL)
        shown += coming.order_by("due_at", "pk")[: FRESHNESS_SHOWN - len(shown)]
    return shown


def changes(world: World) -> list[dict[str, Any]]:
    """Return the newest changes that the person may see."""
    if not world.may_view(Event):
        return []
    events = newest_changes_for(world.person)[:EVENTS_SHOWN]
    return [{"event": event, "what": capfirst(in_words(event.verb))} for event in events]


def storage(world: World) -> Storage:
    """Return the sizes of the tables, what the next purge deletes, and how fast the tables grow."""
    sizes, covered, growth, days = _measured(world.now)
    planned = _planned()
    tables = [
        Table(
            name=str(model._meta.verbose_name_plural),
            size=size,
            planned=planned.get(model._meta.label),
            growth=growth.get(model._meta.label),
        )
        for model, size in sizes.items()
    ]
    return Storage(tables, covered, _days_left(sizes, growth, days))


# Sizes, verified content, growth by model, and in how many days it came about.
_Measured = tuple[dict[type[Model], TableSize], Coverage, dict[str, int], float]


def _measured(now: datetime) -> _Measured:
    cache = caches["process"]
    kept: _Measured | None = cache.get("storage")
    if kept is None:
        sizes = table_sizes(STORED)
        kept = sizes, coverage(sizes), _growth(now), _days_of_growth(now)
        cache.set("storage", kept, KEPT_SECONDS)
    return kept


def _growth(now: datetime) -> dict[str, int]:
    """Return rows stored minus rows deleted in the last week, by model; only for models with both counts."""
    sessions = ScrapeSession.objects.filter(finished_at__gte=now - WEEK)
    stored = sessions.aggregate(**{name: Sum(name, default=0) for name in _STORED_AS})
    growth = {model._meta.label: int(stored[name]) for name, model in _STORED_AS.items()}
    purges = [
        JobRun.objects.filter(job=job.slug, dry_run=False)
        .order_by("-pk")
        .only("counts", "finished_at")[:PURGES_READ]
        for job in jobs()
        if job.has_overrides  # the job that deletes content
    ]
    for run in chain.from_iterable(first_of_each(purges)):
        if run.finished_at and run.finished_at >= now - WEEK:
            for label in growth:
                deleted = run.counts.get(label, 0)
                growth[label] -= deleted if type(deleted) is int else 0
    return growth


def _days_of_growth(now: datetime) -> float:
    """Return of how many of the last seven days there are sessions: fewer for a new console, or if they are kept for less."""
    first = ScrapeSession.objects.filter(finished_at__isnull=False).order_by("finished_at")
    begun = first.values_list("finished_at", flat=True).first() or now
    return min(WEEK, max(now - begun, DAY)) / DAY


def _planned() -> dict[str, Planned]:
    """Return, by model, what the newest plan with default parameters would delete.

    None that a real run has overtaken, or that was made under another retention.
    """
    parts = []
    for job in jobs():
        if job.retention_days is None:
            continue
        newest = JobRun.objects.filter(job=job.slug).order_by("-pk").values("pk")[:RUNS_READ]
        plans = JobRun.objects.filter(pk__in=newest, plan__isnull=False)
        plans = plans.filter(Q(dry_run=True) | Q(status=JobRun.Status.BLOCKED))
        real = JobRun.objects.filter(job=job.slug, dry_run=False, status__in=WORKED).order_by("-pk")
        plans = plans.filter(pk__gt=Coalesce(Subquery(real.values("pk")[:1]), 0))
        parts.append(plans.order_by("-pk").only("plan", "params", "job")[:5])
    retentions = stored_retentions()
    found: dict[str, Planned] = {}
    for run in sorted(chain.from_iterable(first_of_each(parts)), key=lambda one: -one.pk):
        if "days" in run.params or not is_made_under(run.plan, retentions.get(run.job)):
            continue
        for table in tables_of(run.plan):
            found.setdefault(table.model, _of_plan(run, table))
    return found


def _of_plan(run: JobRun, table: TablePlan) -> Planned:
    return Planned(table.rows, table.total, made_at(run.plan), run.pk)


def _days_left(sizes: Mapping[type[Model], TableSize], growth: Mapping[str, int], days: float) -> int | None:
    """Return in how many days the disk is full, by the growth of the last ``days``; None on a database server, whose disk is not visible here."""
    if connection.vendor != "sqlite":
        return None
    file = Path(str(connection.settings_dict["NAME"]))
    rows, more = sum(size.rows for size in sizes.values()), sum(growth.values())
    if not file.is_file() or not rows or more <= 0:
        return None
    bytes_a_day = file.stat().st_size / rows * more / days
    return int(shutil.disk_usage(file.parent).free / bytes_a_day)
