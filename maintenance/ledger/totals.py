"""Totals over all finished runs: how many by job, status and trigger, how long they took, what they stored and deleted.

Monitoring needs counters that only grow, but the history of runs is cleaned up. So the totals are one stored row. Each
reader adds the runs that ended since; it locks the row, so that no two readers add the same run.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from database import clock
from maintenance.ledger.run_sums import slots_of
from maintenance.models import JobRun, RunTotals
from maintenance.models.statuses import WORKED, Status

# A run's end is written before its transaction is committed. Runs that ended later than this are left for the next
# reader, because one that ended before them may not be visible yet.
SETTLED_AFTER: Final = timedelta(seconds=10)
# How many runs one reader adds at most: after a long time without readers, several catch up.
RUNS_A_READ: Final = 20_000
# The upper bounds of the histogram of durations, in seconds.
DURATION_BOUNDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0)


@dataclass
class Durations:
    """A histogram of durations: runs by the first bound that they do not exceed, with one more for all others."""

    runs: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Add one run."""
        self.runs[bisect_left(DURATION_BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass
class Totals:
    """The totals since the first reader."""

    # By (job, status, trigger).
    runs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    # By job; only runs that did their work.
    durations: dict[str, Durations] = field(default_factory=dict)
    # By the name under which runs count: the label of a model for deleted rows, else what the job did.
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, run: JobRun) -> None:
        """Add one finished run. Dry runs change nothing, so only their number counts."""
        # One row stands for all slots that were missed in a row.
        self.runs[run.job, run.status, run.trigger] += slots_of(run) if run.status == Status.MISSED else 1
        if run.dry_run:
            return
        if run.status in WORKED and run.duration is not None:
            self.durations.setdefault(run.job, Durations()).add(run.duration.total_seconds())
        self.counts.update({name: number for name, number in run.counts.items() if type(number) is int})

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            "runs": [[*key, number] for key, number in sorted(self.runs.items())],
            "durations": {job: [one.runs, one.seconds] for job, one in sorted(self.durations.items())},
            "counts": dict(sorted(self.counts.items())),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Totals":
        """Read the stored form."""
        return cls(
            runs=Counter({(job, status, trigger): number for job, status, trigger, number in stored["runs"]}),
            durations={job: Durations(runs, seconds) for job, (runs, seconds) in stored["durations"].items()},
            counts=Counter(stored["counts"]),
        )


def counted() -> Totals:
    """Add the runs that ended since the last reader, and return the totals.

    The first reader finds nothing: counting begins with it.
    """
    with transaction.atomic():
        now = clock.now()
        row, _ = RunTotals.objects.select_for_update().get_or_create(
            pk=RunTotals.ROW, defaults={"counted_to": now, "totals": Totals().as_json()}
        )
        totals = Totals.from_json(row.totals)
        finished = JobRun.objects.filter(
            Q(finished_at__gt=row.counted_to) | Q(pk__gt=row.counted_to_run),
            finished_at__gte=row.counted_to,
            finished_at__lt=now - SETTLED_AFTER,
        )
        fields = ("job", "status", "trigger", "dry_run", "started_at", "finished_at", "counts")
        runs = list(finished.order_by("finished_at", "pk").only(*fields)[:RUNS_A_READ])
        for run in runs:
            totals.add(run)
        if runs:
            last = runs[-1]
            assert last.finished_at is not None
            row.totals, row.counted_to, row.counted_to_run = totals.as_json(), last.finished_at, last.pk
            row.save()
    return totals
