"""The safety cap: a purge that looks wrong waits for a person.

Three signs: more rows than ``PURGE_CAP_ROWS``; a greater share of its table than ``PURGE_CAP_SHARE``; more
than three times the median of the job's last ten purges. The last two need ``PURGE_CAP_MIN_ROWS`` rows at
least; a job may declare a lower minimum for valuable rows, or that neither of the two applies to its rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.conf import settings

from database.grouping import grouped
from database.messages import gettext as _
from maintenance.models import JobRun
from maintenance.purging.kept_plan import tables_of
from maintenance.purging.plan import TablePlan, with_exact_total

MEDIAN_TIMES = 3
MEDIAN_RUNS = 10
# Fewer earlier runs say nothing about what is usual.
MEDIAN_RUNS_MIN = 3

# The counts and the plan of a run.
Purge = tuple[Mapping[str, Any], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Caps:
    """The caps of a job's purge; ``has_relative``: whether the caps by share and by the usual number apply."""

    rows: int
    share: float
    # The caps by share and by the usual number apply from this many rows on.
    share_min_rows: int
    usual_min_rows: int
    has_relative: bool = True

    @classmethod
    def in_force(cls, *, has_relative: bool = True, share_min_rows: int | None = None) -> "Caps":
        """Return the caps of the settings, for a job that declares this."""
        least = settings.PURGE_CAP_MIN_ROWS
        return cls(
            rows=settings.PURGE_CAP_ROWS,
            share=settings.PURGE_CAP_SHARE,
            share_min_rows=least if share_min_rows is None else min(least, share_min_rows),
            usual_min_rows=least,
            has_relative=has_relative,
        )


def refusals(job: str, tables: Sequence[TablePlan], *, caps: Caps, using: str) -> list[str]:
    """Return why a person must approve this purge first, each reason with its figures; empty: it may go on.

    Args:
        job: the slug.
        tables: the plan; the job deletes the rows of the first table, the others cascade. What the run has
            deleted already (``gone``) counts too.
        caps: the caps in force.
        using: the database.
    """
    rows = sum(table.rows + table.gone for table in tables)
    reasons: list[str] = []
    if rows > caps.rows:
        reasons.append(
            _("%(rows)s rows would be deleted, more than the %(cap)s of PURGE_CAP_ROWS.")
            % {"rows": grouped(rows), "cap": grouped(caps.rows)}
        )
    if caps.has_relative and rows >= caps.share_min_rows:
        reasons += _above_share(tables[0], caps, using)
    if caps.has_relative and rows >= caps.usual_min_rows:
        reasons += _above_usual(job, tables, rows)
    return reasons


def _above_share(table: TablePlan, caps: Caps, using: str) -> list[str]:
    if table.share <= caps.share:
        return []
    table = with_exact_total(table, using)  # an estimate refuses nobody
    if table.share <= caps.share:
        return []
    return [
        _("%(rows)s of %(total)s %(table)s would be deleted: %(share)s %%, more than the %(cap)s %% of PURGE_CAP_SHARE.")
        % {
            "rows": grouped(table.rows + table.gone),
            "total": grouped(table.total + table.gone),
            "table": table.verbose_name,
            # Rounded up: it is more than the cap.
            "share": f"{math.ceil(round(1000 * table.share, 6)) / 10:g}",
            "cap": f"{100 * caps.share:g}",
        }
    ]  # fmt: skip


def last_purges(job: str) -> list[Purge]:
    """Return the job's last purges that succeeded, newest first."""
    purges = JobRun.objects.filter(job=job, dry_run=False, status=JobRun.Status.SUCCEEDED).order_by("-id")
    return list(purges.values_list("counts", "plan")[:MEDIAN_RUNS])


def usual(purges: Sequence[Purge], labels: set[str]) -> tuple[int, int] | None:
    """Return the median of what these purges deleted from these tables, and their number; None: too few."""
    deleted = [
        max(sum(_number(counts.get(label)) for label in labels), planned_rows(plan, labels))
        for counts, plan in purges
    ]
    return (round(median(deleted)), len(deleted)) if len(deleted) >= MEDIAN_RUNS_MIN else None


def _number(count: Any) -> int:
    return count if type(count) is int else 0


def _above_usual(job: str, tables: Sequence[TablePlan], rows: int) -> list[str]:
    known = usual(last_purges(job), {table.model for table in tables})
    if known is None or rows <= MEDIAN_TIMES * known[0]:
        return []
    return [
        _("%(rows)s rows would be deleted, more than three times the usual %(median)s (the median of the last %(runs)s runs).")
        % {"rows": grouped(rows), "median": grouped(known[0]), "runs": known[1]}
    ]  # fmt: skip


def planned_rows(plan: Mapping[str, Any] | None, labels: set[str]) -> int:
    """Return the planned rows of a run in these tables; every attempt keeps the plan of the first one."""
    return sum(table.rows + table.gone for table in tables_of(plan) if table.model in labels)
