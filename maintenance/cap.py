"""The safety cap: a purge that looks wrong waits for a person.

Three signs: more rows than ``PURGE_CAP_ROWS``; a greater share of its table than ``PURGE_CAP_SHARE``; more
than three times the median of the job's last ten purges. The last two need ``PURGE_CAP_MIN_ROWS`` rows at
least: of a small table, half is soon reached.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from maintenance.models import JobRun
from maintenance.plan import TablePlan, with_exact_total

MEDIAN_TIMES = 3
MEDIAN_RUNS = 10
# Fewer earlier runs say nothing about what is usual.
MEDIAN_RUNS_MIN = 3
# An approval holds for the rows that the approver saw, and some that became due since.
APPROVAL_TOLERANCE = 1.1


def refusals(
    job: str, tables: Sequence[TablePlan], *, approval: Mapping[str, Any] | None, using: str
) -> list[str]:
    """Return why a person must look at this purge first, each reason with its figures; empty: it may go on.

    Args:
        job: the slug.
        tables: the plan; its first table is the one whose rows are named, the others cascade.
        approval: the run's; ``rows`` holds the approved rows by label of the first table, or is None where
            somebody forced the run.
        using: the database.
    """
    rows = sum(table.rows for table in tables)
    if approval is not None:
        approved = approval["rows"]
        if approved is None:
            return []
        if rows <= approved.get(tables[0].model, 0) * APPROVAL_TOLERANCE:
            return []
    reasons = []
    if rows > settings.PURGE_CAP_ROWS:
        reasons.append(
            _("%(rows)s rows would be deleted, more than the %(cap)s of PURGE_CAP_ROWS.")
            % {"rows": rows, "cap": settings.PURGE_CAP_ROWS}
        )
    if rows >= settings.PURGE_CAP_MIN_ROWS:
        reasons += [*_above_share(tables[0], using), *_above_median(job, tables, rows)]
    if reasons and approval is not None and tables[0].model in approval["rows"]:
        # Only beside another reason: what needs no approval needs none beyond an approval either.
        reasons.insert(
            0,
            _("%(rows)s rows would be deleted, but %(approved)s were approved.")
            % {"rows": rows, "approved": approval["rows"][tables[0].model]},
        )
    return reasons


def _above_share(table: TablePlan, using: str) -> list[str]:
    if table.share <= settings.PURGE_CAP_SHARE:
        return []
    table = with_exact_total(table, using)  # an estimate refuses nobody
    if table.share <= settings.PURGE_CAP_SHARE:
        return []
    return [
        _("%(rows)s of %(total)s %(table)s would be deleted: %(share)s %%, more than the %(cap)s %% of PURGE_CAP_SHARE.")
        % {
            "rows": table.rows,
            "total": table.total,
            "table": table.verbose_name,
            "share": round(100 * table.share),
            "cap": round(100 * settings.PURGE_CAP_SHARE),
        }
    ]  # fmt: skip


def _above_median(job: str, tables: Sequence[TablePlan], rows: int) -> list[str]:
    labels = {table.model for table in tables}
    earlier = JobRun.objects.filter(job=job, dry_run=False, status=JobRun.Status.SUCCEEDED).order_by("-id")
    deleted = [
        max(sum(counts.get(label, 0) for label in labels), planned_rows(plan, labels))
        for counts, plan in earlier.values_list("counts", "plan")[:MEDIAN_RUNS]
    ]
    if len(deleted) < MEDIAN_RUNS_MIN or rows <= MEDIAN_TIMES * median(deleted):
        return []
    return [
        _("%(rows)s rows would be deleted, more than three times the usual %(median)s (the median of the last %(runs)s runs).")
        % {"rows": rows, "median": round(median(deleted)), "runs": len(deleted)}
    ]  # fmt: skip


def planned_rows(plan: Mapping[str, Any] | None, labels: set[str]) -> int:
    """Return the rows a run's plan names in these tables; an attempt keeps the plan of the first."""
    return sum(table["rows"] for table in (plan or {}).get("tables", []) if table["model"] in labels)
