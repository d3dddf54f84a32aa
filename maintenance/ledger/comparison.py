"""What the runs of a period came to, by job and by schedule."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from database.percentiles import percentile
from maintenance.ledger.kept_days import sums_of_all
from maintenance.ledger.run_sums import Row, Sums, SumsByRow, added_up, sums_by_day
from maintenance.ledger.usual import RUNS_MIN
from maintenance.models.run_queries import JobRunQuerySet


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


def figures_in(period: Period, runs: JobRunQuerySet, schedules: Collection[int] = ()) -> dict[Row, Figures]:
    """Return the figures of every job with a run or slot in the period, and of those of the schedules that have one.

    Args:
        period: which runs count.
        runs: those that the reader may see.
        schedules: the keys of schedules that get figures of their own. They have the runs of their slots.
    """
    return _figures(added_up(sums_by_day(period.of(runs).order_by(), schedules).values()))


def figures_of_all(periods: Sequence[Period], schedules: Collection[int] = ()) -> list[dict[Row, Figures]]:
    """Return the same figures of all runs for each period, without reading each run."""
    return [_figures(sums) for sums in sums_of_all([(one.start, one.end) for one in periods], schedules)]


def _figures(sums: SumsByRow) -> dict[Row, Figures]:
    return {row: _figures_of(one) for row, one in sums.items()}


def _figures_of(sums: Sums) -> Figures:
    # Days are sorted already, which makes this fast.
    took = sorted(sums.took)
    p50, p95 = (
        timedelta(microseconds=percentile(took, share)) if len(took) >= RUNS_MIN else None
        for share in (0.5, 0.95)
    )
    return Figures(sums.runs, sums.failures, sums.missed, p50, p95, sums.counts)
