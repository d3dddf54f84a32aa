"""What the runs of a period came to, by job and by schedule: one statement for the rows, one or two for all other figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import (
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

from database.percentiles import Percentile
from maintenance.ledger.usual import COUNTS, RUNS_MIN
from maintenance.models import JobRun
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.statuses import FAILURES, Status

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


@dataclass(frozen=True)
class Period:
    """A span of time; the end is excluded. A run belongs to the period in which it was queued."""

    start: datetime
    end: datetime

    def of(self, runs: JobRunQuerySet) -> JobRunQuerySet:
        """Return the real runs of the period, by the index ``jobrun_queued_at``."""
        return runs.filter(queued_at__gte=self.start, queued_at__lt=self.end, dry_run=False)


@dataclass
class Figures:
    """The figures of a job, or of one schedule, in one period. Dry runs do not count."""

    # Each attempt is a run; missed and skipped slots are none.
    runs: int = 0
    # FAILED or PARTIAL.
    failures: int = 0
    # Slots.
    missed: int = 0
    # Of the runs that succeeded at the first attempt; None: too few.
    p50: timedelta | None = None
    p95: timedelta | None = None
    # By the names under which runs count.
    counts: Counter[str] = field(default_factory=Counter)


def figures_in(period: Period, runs: JobRunQuerySet, schedules: Sequence[int] = ()) -> dict[Row, Figures]:
    """Return the figures of every job with a run or slot in the period, and of those of the schedules that have one.

    Args:
        period: which runs count.
        runs: those that the reader may see.
        schedules: the keys of schedules that get figures of their own. They have the runs of their slots.
    """
    rows = period.of(runs).order_by()
    found: dict[Row, Figures] = {}
    for job, *numbers in _numbers(rows, "job"):
        found[job, None] = _figures(*numbers)
    if schedules:
        of_slots = rows.filter(trigger=JobRun.Trigger.SCHEDULE, schedule__in=schedules)
        for job, schedule, *numbers in _numbers(of_slots, "job", "schedule"):
            found[job, schedule] = _figures(*numbers)
    for job, schedule, name, rows_with, total in _counts(rows, schedules):
        for key in {(job, None), (job, schedule)}:
            figures = found.get(key)  # a run that began since has none
            if figures is not None and name == _SLOTS:
                figures.missed += total - rows_with
            elif figures is not None:
                figures.counts[name] += total
    return found


def _numbers(rows: QuerySet[JobRun], *by: str) -> Any:
    taken = COUNTS & Q(started_at__isnull=False)
    return rows.values(*by).annotate(
        runs=Count("pk", filter=Q(status__in=RAN)),
        failures=Count("pk", filter=Q(status__in=FAILURES)),
        missed=Count("pk", filter=Q(status=Status.MISSED)),
        timed=Count("pk", filter=taken),
        p50=Percentile(_TOOK, 0.5, filter=taken),
        p95=Percentile(_TOOK, 0.95, filter=taken),
    ).values_list(*by, "runs", "failures", "missed", "timed", "p50", "p95")  # fmt: skip


def _figures(
    runs: int, failures: int, missed: int, timed: int, p50: timedelta | None, p95: timedelta | None
) -> Figures:
    if timed < RUNS_MIN:
        p50 = p95 = None
    return Figures(runs, failures, missed, p50, p95)


def _counts(rows: QuerySet[JobRun], schedules: Sequence[int]) -> list[tuple[str, int | None, str, int, int]]:
    """Return job, schedule, name, the number of rows with that name and the sum of their numbers."""
    own = Q(trigger=JobRun.Trigger.SCHEDULE, schedule__in=schedules)
    of_own = Case(When(own, then=F("schedule_id")), output_field=BigIntegerField())
    parts = rows.exclude(counts={}).annotate(own=of_own)
    sql, params = parts.values("job", "own", "counts").query.sql_with_params()
    kind = connection.vendor
    statement = (
        f"SELECT {_JOB[kind]}, part.own, {_NAME[kind]}, COUNT(*), SUM({_NUMBER[kind]})"  # noqa: S608  # Django's own SQL
        f" FROM ({sql}) AS part, {_NAMED[kind]} GROUP BY 1, 2, 3"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        if kind == "postgresql":
            # It guesses a hundred names a run, and would compile the statement for longer than it takes.
            cursor.execute("SET LOCAL jit = off")
        cursor.execute(statement, params)
        return [(job, own, name, int(some), int(total)) for job, own, name, some, total in cursor.fetchall()]
