"""What a purge reports after its last batch: the rows that are left, and the size of the tables."""

from django.apps import apps
from django.db import OperationalError

from database.footprint import Footprint, analyze, footprint
from database.grouping import grouped
from database.messages import file_size, joined
from database.messages import gettext as _
from maintenance.models import JobRun
from maintenance.models.statuses import WORKED
from maintenance.purging.interface import DeletionContext, gone
from maintenance.purging.kept_plan import tables_of
from maintenance.purging.passed_over import PassedOver
from maintenance.purging.plan import TablePlan

# After at least this many deleted rows, the planner's statistics of a table are renewed.
ANALYZE_ROWS_MIN = 10_000
# This many purges in a row with rows left over mean that rows become due faster than they are deleted.
LOSING_RUNS = 3


def what_waits(passed_over: PassedOver, table: TablePlan, left: int) -> str:
    """Return how many rows wait for the next attempt, and which sessions locked them."""
    return _("%(rows)s %(table)s could not be deleted so far: %(who)s.") % {
        "rows": grouped(left),
        "table": table.verbose_name,
        "who": passed_over.who(),
    }


def tell_what_is_left(context: DeletionContext, table: TablePlan, left: int) -> None:
    """End the run as partial: rows that match are still there, although nobody locked them."""
    run = context.run
    assert run is not None
    message = _("%(rows)s %(table)s that should be gone are still there.") % {
        "rows": grouped(left),
        "table": table.verbose_name,
    }
    earlier = JobRun.objects.filter(job=run.job, dry_run=False, pk__lt=run.pk, plan__isnull=False)
    # A run that was tried again had met a lock.
    ended = earlier.filter(status__in=WORKED, next_attempt=None).order_by("-pk")
    had_left = [
        any(one.model == table.model and one.left for one in tables_of(plan))
        for plan in ended.values_list("plan", flat=True)[: LOSING_RUNS - 1]
    ]
    if len(had_left) == LOSING_RUNS - 1 and all(had_left):
        message = joined(
            [message, _("So did the runs before: rows become due faster than the purge deletes them.")]
        )
    context.partial(message)
    context.log(message, "warning")


def total_in_words(context: DeletionContext, tables: list[TablePlan]) -> str:
    """Return what all attempts have deleted together: the last one may have found nothing more to do."""
    rows = gone(context)
    each = joined((f"{grouped(rows[table.model])} " + table.verbose_name for table in tables), by=", ")
    return _("All attempts together deleted %(rows)s.") % {"rows": each}


def renew_statistics(context: DeletionContext, tables: list[TablePlan], *, using: str) -> None:
    """Renew the planner's statistics of the tables; where that is not permitted, the run's log says so."""
    try:
        analyze([apps.get_model(table.model) for table in tables], using)
    except OperationalError as error:
        context.log(_("ANALYZE was not possible: %(error)s") % {"error": error}, "warning")


def footprints(tables: list[TablePlan], *, using: str) -> list[Footprint | None]:
    """Return the size of each table; None where the database does not know it."""
    return [footprint(apps.get_model(table.model), using) for table in tables]


def report_footprints(
    context: DeletionContext, tables: list[TablePlan], before: list[Footprint | None], *, using: str
) -> None:
    """Renew the planner's statistics after a large purge and report the size of the tables."""
    large = [table for table in tables if context.counts[table.model] >= ANALYZE_ROWS_MIN]
    renew_statistics(context, large, using=using)
    for table, old in zip(tables, before, strict=True):
        new = footprint(apps.get_model(table.model), using)
        if old is None or new is None or table not in large:
            continue
        context.log(
            _("%(table)s: table %(table_before)s → %(table_after)s, indexes %(index_before)s → %(index_after)s,"
              " dead rows %(dead_before)s → %(dead_after)s; VACUUM frees their space for new rows")
            % {
                "table": table.verbose_name.capitalized(),
                "table_before": file_size(old.table_bytes),
                "table_after": file_size(new.table_bytes),
                "index_before": file_size(old.index_bytes),
                "index_after": file_size(new.index_bytes),
                "dead_before": old.dead_rows,
                "dead_after": new.dead_rows,
            }
        )  # fmt: skip
