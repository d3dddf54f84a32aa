"""Adds up the runs of a span of time, by day, job and schedule: one statement for the rows, one for what they count."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from django.db import connection, models, transaction
from django.db.models import (
    Aggregate,
    BigIntegerField,
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    When,
)

from database.utc_days import UTCDay
from maintenance.ledger.usual import COUNTS
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES, OPEN, Status

# A slot without a run.
NO_RUN: Final = (Status.MISSED, Status.SKIPPED)
RAN: Final = tuple(status for status in Status if status not in NO_RUN)
_TOOK: Final = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
# The count of a row of missed slots; without it the row is one slot (``scheduling.slot_rows``).
_SLOTS: Final = "slots_missed"
# Each name and whole number of the counts of a run. Other values are no counts, and neither is JSON without names.
_NAMED: Final = {
    "postgresql": (
        "jsonb_each(CASE jsonb_typeof(part.counts) WHEN 'object' THEN part.counts ELSE '{}' END) AS each(name, value)"
        " WHERE jsonb_typeof(value) = 'number'"
    ),
    "sqlite": (
        "json_each(CASE json_type(part.counts) WHEN 'object' THEN part.counts ELSE '{}' END) AS each"
        " WHERE each.type = 'integer'"
    ),
}
_NAME: Final = {"postgresql": "each.name", "sqlite": "each.key"}
# SQLite would walk the index of jobs from end to end for the groups' order instead of using that of times.
_JOB: Final = {"postgresql": "part.job", "sqlite": "+part.job"}
_NUMBER: Final = {"postgresql": "TRUNC(each.value::numeric)", "sqlite": "each.value"}

# A job, and the key of one of its schedules or None for all its runs.
Row = tuple[str, int | None]


def slots_of(run: JobRun) -> int:
    """Return how many slots a row of missed slots counts."""
    slots = run.counts.get(_SLOTS)
    return slots if type(slots) is int else 1


@dataclass
class Sums:
    """What the runs of one row came to; the sums of several days can be added up. Dry runs do not count."""

    # Each attempt is a run; missed and skipped slots are none.
    runs: int = 0
    # FAILED or PARTIAL.
    failures: int = 0
    # Slots.
    missed: int = 0
    # Runs without an end yet, whose other figures may change.
    open: int = 0
    # Microseconds that each run with a usual duration took (``usual.COUNTS``).
    took: list[int] = field(default_factory=list)
    # By the names under which runs count.
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Sums") -> None:
        """Add those of other runs."""
        self.runs += other.runs
        self.failures += other.failures
        self.missed += other.missed
        self.open += other.open
        self.took += other.took
        self.counts.update(other.counts)


SumsByRow = dict[Row, Sums]


class _EachMicroseconds(Aggregate):
    """The list of all durations, in microseconds."""

    output_field = models.Field()
    # An array, which the driver of PostgreSQL returns as a list.
    template = "ARRAY_AGG(ROUND(DATE_PART('epoch', %(expressions)s) * 1000000)::bigint)"

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Collect them as JSON; a duration is a number of microseconds there."""
        ours = self.copy()
        ours.template = "JSON_GROUP_ARRAY(%(expressions)s)"
        return ours.as_sql(compiler, connection, **extra)


def sums_by_day(rows: QuerySet[JobRun], schedules: Collection[int] = ()) -> dict[date, SumsByRow]:
    """Return what the runs came to, by the day in UTC on which they were queued.

    Args:
        rows: real runs, without an order.
        schedules: the keys of schedules that get rows of their own, with the runs of their slots.
    """
    found: dict[date, SumsByRow] = defaultdict(lambda: defaultdict(Sums))
    own = Q(trigger=JobRun.Trigger.SCHEDULE, schedule__in=schedules)
    of_own = Case(When(own, then=F("schedule_id")), output_field=BigIntegerField())
    rows = rows.annotate(day=UTCDay("queued_at"), own=of_own)
    for day, job, key, runs, failures, missed, open_runs, took in _numbers(rows):
        each = json.loads(took) if isinstance(took, str) else took
        for row in {(job, None), (job, key)}:
            found[day][row].add(Sums(runs, failures, missed, open_runs, sorted(each or [])))
    for day, job, key, name, some, total in _counts(rows):
        for row in {(job, None), (job, key)}:
            if row not in found[day]:
                continue  # a run that began since has none
            if name == _SLOTS:
                found[day][row].missed += total - some
            else:
                found[day][row].counts[name] += total
    return found


def added_up(parts: Iterable[SumsByRow]) -> SumsByRow:
    """Return the sums of several days."""
    found: SumsByRow = defaultdict(Sums)
    for part in parts:
        for row, sums in part.items():
            found[row].add(sums)
    return found


def _numbers(rows: QuerySet[Any]) -> Any:
    by = ("day", "job", "own")
    taken = COUNTS & Q(started_at__isnull=False)
    return rows.values(*by).annotate(
        runs=Count("pk", filter=Q(status__in=RAN)),
        failures=Count("pk", filter=Q(status__in=FAILURES)),
        missed=Count("pk", filter=Q(status=Status.MISSED)),
        open=Count("pk", filter=Q(status__in=OPEN)),
        took=_EachMicroseconds(_TOOK, filter=taken),
    ).values_list(*by, "runs", "failures", "missed", "open", "took")  # fmt: skip


def _counts(rows: QuerySet[Any]) -> list[tuple[date, str, int | None, str, int, int]]:
    """Return day, job, schedule, name, the number of rows with that name and the sum of their numbers."""
    sql, params = rows.exclude(counts={}).values("day", "job", "own", "counts").query.sql_with_params()
    kind = connection.vendor
    statement = (
        f"SELECT part.day, {_JOB[kind]}, part.own, {_NAME[kind]}, COUNT(*), SUM({_NUMBER[kind]})"  # noqa: S608  # Django's own SQL
        f" FROM ({sql}) AS part, {_NAMED[kind]} GROUP BY 1, 2, 3, 4"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        if kind == "postgresql":
            # It guesses a hundred names a run, and would compile the statement for longer than it takes.
            cursor.execute("SET LOCAL jit = off")
        cursor.execute(statement, params)
        return [
            (date.fromisoformat(day) if isinstance(day, str) else day, job, own, name, int(some), int(total))
            for day, job, own, name, some, total in cursor.fetchall()
        ]
