"""What a purge would delete: counted, dated, sampled, and compared with what somebody was shown before.

The dry run is the plan. It is kept on the run as JSON, so it names rows by their keys only: titles and texts
are looked up when it is read, and are gone when the rows are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.apps import apps
from django.db import DatabaseError, connections, models
from django.db.models import Count

from database.background import background_reads
from database.constraints import cascaded_children
from database.estimates import table_sizes
from database.messages import Message, joined
from database.messages import gettext as _
from maintenance.purging.counting import count_once
from maintenance.purging.facts import Facts, Group, RuleEffect

SAMPLE_ROWS = 20
# Cascaded rows are estimated, where the caller wants it, if their table has at least this many rows; else counted.
ESTIMATED_ROWS_MIN = 100_000
HOLD_REASONS_SHOWN = 10
HOLDS_ENDING = timedelta(days=7)
# SQLite must read a table to tell its size; the plan of a larger database has no sizes.
SQLITE_SIZED_BYTES_MAX = 2_000_000_000


@dataclass(frozen=True)
class SampleRow:
    """One row that would go: its key, if that is a number (a session's key is a secret), and its time."""

    pk: int | None
    at: str  # ISO 8601


@dataclass(frozen=True)
class HoldReason:
    """A reason for which rows are kept although they are old enough."""

    reason: str
    rows: int


@dataclass(frozen=True)
class TablePlan:
    """What a purge would do to one table. Times are ISO 8601, months those of UTC."""

    model: str  # label, such as scraping.RedditPost
    rows: int
    # Of the table before the purge; of a big table the planner's estimate.
    total: int
    # With their share of the indexes; None where the database does not know it.
    bytes: int | None = None
    cutoff: str | None = None
    # Cascaded rows are counted under the month of their parent row.
    by_month: dict[str, int] = field(default_factory=dict)  # {"2026-01": 12}
    # The label of the table from which these rows cascade; None: the purge deletes them itself.
    cascaded_from: str | None = None
    oldest: str | None = None
    newest: str | None = None
    sample: list[SampleRow] = field(default_factory=list)
    # Old enough, but held.
    held: int = 0
    held_reasons: list[HoldReason] = field(default_factory=list)
    # Holds that end within a week: the rows they keep will be deleted soon.
    holds_ending: int = 0
    # The largest groups of the rows, such as {"subreddit": [...], "bot": [...]}
    groups: dict[str, list[Group]] = field(default_factory=dict)
    # What each rule of the retention deletes; empty where there are no overrides.
    rules: list[RuleEffect] = field(default_factory=list)
    # The median of what the job's last purges deleted, with cascaded rows; None: there were too few.
    usual: int | None = None
    # What the run had already deleted when this was planned: in earlier attempts, or before it was blocked.
    gone: int = 0
    # Whether its rows are estimated by a column of their parent rows instead of counted.
    is_estimate: bool = False
    # How many rows that should have been deleted the purge found at its end; None before that.
    left: int | None = None

    @property
    def verbose_name(self) -> Message:
        """The table's name in the reader's language; its label if the model no longer exists."""
        try:
            return joined([apps.get_model(self.model)._meta.verbose_name_plural])
        except LookupError:
            return joined([self.model])

    @property
    def share(self) -> float:
        """The share of the table's rows that would be deleted, 0 to 1."""
        total = self.total + self.gone
        return min(1.0, (self.rows + self.gone) / total) if total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the plan as the API and ``--json`` show it, and as the run stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the plan that ``as_json`` wrote; unknown keys of a newer version are ignored."""
        known = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
        sample = [SampleRow(**row) for row in values["sample"]]
        held_reasons = [HoldReason(**row) for row in values["held_reasons"]]
        groups = {
            name: [Group(**group) for group in found] for name, found in known.pop("groups", {}).items()
        }
        rules = [RuleEffect(**rule) for rule in known.pop("rules", [])]
        return cls(
            **{**known, "sample": sample, "held_reasons": held_reasons, "groups": groups, "rules": rules}
        )


def plan_deletion(
    queryset: models.QuerySet[Any],
    *,
    key: str,
    cutoff: datetime | None = None,
    held: models.QuerySet[Any] | None = None,
    now: datetime | None = None,
    facts: Facts | None = None,
    is_preview: bool = False,
) -> list[TablePlan]:
    """Return the plan for deleting ``queryset``: its own table first, then those to which the database cascades.

    Its table is read once. ``held`` are rows that a hold keeps although they are old enough, with their
    ``hold_reason``; those whose hold ends within a week of ``now`` are counted. A preview estimates the rows of large
    child tables by the columns that ``facts`` names.
    """
    with background_reads(queryset.db):
        return _plan(
            queryset,
            key=key,
            cutoff=cutoff,
            held=held,
            now=now,
            facts=facts or Facts(),
            is_preview=is_preview,
        )


def _plan(
    queryset: models.QuerySet[Any],
    *,
    key: str,
    cutoff: datetime | None,
    held: models.QuerySet[Any] | None,
    now: datetime | None,
    facts: Facts,
    is_preview: bool,
) -> list[TablePlan]:
    label = queryset.model._meta.label
    children = [child.model for child in cascaded_children(queryset.model)]
    sizes = table_sizes([queryset.model, *children], queryset.db)
    estimates = worth_estimating(facts.estimates, children, sizes) if is_preview else {}
    counted = count_once(queryset, key=key, facts=facts, cutoff=cutoff, estimates=estimates)

    def table(model: type[models.Model], **values: Any) -> TablePlan:
        by_month = counted.by_month[model._meta.label]
        rows, total = sum(by_month.values()), sizes[model].rows
        return TablePlan(
            model=model._meta.label,
            rows=rows,
            total=max(total, rows),  # an estimate may be old
            bytes=_bytes_of(model, rows, total, sizes[model].bytes, queryset.db),
            by_month=by_month,
            cutoff=_iso(cutoff),
            **values,
        )

    first = table(
        queryset.model,
        oldest=_iso(counted.oldest),
        newest=_iso(counted.newest),
        sample=_sample(queryset, key, sum(counted.by_month[label].values())),
        groups=counted.groups,
        rules=counted.rules,
        **_held(held, now),
    )
    return [
        first,
        *(
            table(child, cascaded_from=label, is_estimate=child._meta.label in estimates)
            for child in children
        ),
    ]


def worth_estimating(
    estimates: Mapping[str, str], tables: Sequence[type[models.Model]], sizes: Mapping[Any, Any]
) -> dict[str, str]:
    """Return the estimates of the tables that are too large to count."""
    return {
        model._meta.label: estimates[model._meta.label]
        for model in tables
        if model._meta.label in estimates and sizes[model].rows >= ESTIMATED_ROWS_MIN
    }


def with_exact_total(plan: TablePlan, using: str) -> TablePlan:
    """Return the plan with the table's rows counted instead of estimated."""
    with background_reads(using):
        total = apps.get_model(plan.model)._default_manager.using(using).count()
    return replace(plan, total=max(total, plan.rows))


# --- What people were shown ------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """The difference in one table between the plan that somebody saw and the plan at the start of the run."""

    model: str
    expected: int
    rows: int

    @property
    def verbose_name(self) -> Message:
        """The table's name in the reader's language."""
        return TablePlan(model=self.model, rows=0, total=0).verbose_name

    def __str__(self) -> str:
        return _("%(table)s: %(expected)s were planned, at the start there were %(rows)s.") % {
            "table": self.verbose_name.capitalized(),
            "expected": self.expected,
            "rows": self.rows,
        }


def differences(planned: Mapping[str, int] | None, tables: Iterable[TablePlan]) -> list[Difference]:
    """Return how the data has changed since somebody saw a plan of this many rows; empty if none was shown."""
    rows = planned if isinstance(planned, dict) else {}
    return [
        Difference(table.model, rows[table.model], table.rows + table.gone)
        for table in tables
        if type(rows.get(table.model)) is int and rows[table.model] != table.rows + table.gone
    ]


# --- Counting --------------------------------------------------------------------------------


def _sample(queryset: models.QuerySet[Any], key: str, rows: int) -> list[SampleRow]:
    """Return the oldest and the newest of the rows, oldest first."""
    if not rows:
        return []
    pairs = queryset.values_list("pk", key)
    if rows <= SAMPLE_ROWS:
        found = list(pairs.order_by(key, "pk"))
    else:
        half = SAMPLE_ROWS // 2
        found = list(pairs.order_by(key, "pk")[:half])
        found += list(pairs.order_by(f"-{key}", "-pk")[:half])[::-1]
    return [SampleRow(pk if isinstance(pk, int) else None, at.isoformat()) for pk, at in found]


def _held(held: models.QuerySet[Any] | None, now: datetime | None) -> dict[str, Any]:
    if held is None:
        return {}
    reasons = list(
        held.order_by().values_list("hold_reason").annotate(rows=Count("*")).order_by("-rows", "hold_reason")
    )
    return {
        "held": sum(rows for _reason, rows in reasons),
        "holds_ending": held.filter(held_until__lte=now + HOLDS_ENDING).count() if now and reasons else 0,
        "held_reasons": [HoldReason(reason, rows) for reason, rows in reasons[:HOLD_REASONS_SHOWN]],
    }


def _bytes_of(
    model: type[models.Model], rows: int, total: int, table_bytes: int | None, using: str
) -> int | None:
    if not rows:
        return 0
    if table_bytes is None:
        table_bytes = _sqlite_bytes(model, using)
    return None if table_bytes is None else table_bytes * rows // max(total, rows)


def _sqlite_bytes(model: type[models.Model], using: str) -> int | None:
    """Return the size of a table with its indexes, where SQLite was built to tell it."""
    try:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            if cursor.fetchone()[0] > SQLITE_SIZED_BYTES_MAX:
                return None
            cursor.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE aggregate = 1 AND name IN (SELECT name FROM sqlite_master WHERE tbl_name = %s)",
                [model._meta.db_table],
            )
            size: int | None = cursor.fetchone()[0]
            return size
    except DatabaseError:
        return None


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
