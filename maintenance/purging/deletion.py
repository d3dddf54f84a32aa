"""Conducts one deletion of a run: plan → (cap) → batches → verify."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from django.apps import apps
from django.db import OperationalError, models
from django.template.defaultfilters import filesizeformat
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from database.footprint import Footprint, analyze, footprint, is_underestimated
from database.parallel import without_parallel_workers
from maintenance import purge
from maintenance.cap import APPROVAL_TOLERANCE, refusals
from maintenance.models import JobRun
from maintenance.plan import TablePlan, differences, plan_deletion

# From so many deleted rows on, the planner's statistics of a table are renewed.
ANALYZE_ROWS_MIN = 10_000
# So many purges in a row that left rows over mean that rows become due faster than they go.
LOSING_RUNS = 3


class NeedsApproval(Exception):
    """A person must look at the plan first; the message says why."""


class Surroundings(Protocol):
    """What a deletion needs of its run's context."""

    run: JobRun | None
    counts: Counter[str]
    plan: list[TablePlan]
    retention_days: int | None

    @property
    def cutoff(self) -> datetime:
        """The moment before which things are old."""

    @property
    def cursor(self) -> Mapping[str, Any]:
        """What earlier attempts saved."""

    def show(self, done: int, total: int | None, stage: str) -> None:
        """Tell the listener."""

    def log(self, text: str, level: str = "info") -> None:
        """Write a line of the run's log."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to the run's counts."""

    def partial(self, message: str) -> None:
        """Note that a part of the work failed."""

    def checkpoint(self) -> None:
        """Raise if the run must stop."""

    def save_cursor(self, **values: Any) -> None:
        """Save cursor, counts and progress."""

    def keep_plan(self, tables: list[TablePlan]) -> None:
        """Keep the plan on the run."""

    def note_commit(self) -> None:
        """Remember what the row says."""

    def forget_what_was_rolled_back(self) -> None:
        """Take counts and cursor from the row."""


class Deletion:
    """The deletion of one queryset and of what the database cascades from its rows."""

    def __init__(
        self,
        context: Surroundings,
        queryset: models.QuerySet[Any],
        *,
        by: str,
        held: models.QuerySet[Any] | None,
    ) -> None:
        self._context, self._queryset, self._by, self._held = context, queryset, by, held
        self._label = queryset.model._meta.label
        self._using = queryset.db

    def describe(self) -> None:
        """Plan; delete nothing."""
        for table in self._make_plan():
            self._context.count(table.model, table.rows)
            self._context.log(
                _("%(rows)s of %(total)s %(table)s would be deleted")
                % {"rows": table.rows, "total": table.total, "table": table.verbose_name}
            )

    def perform(self) -> None:
        """Delete.

        Raises:
            NeedsApproval: nothing of this table was deleted by this attempt.
        """
        context, run = self._context, self._run
        tables = self._kept_plan()
        # An attempt that resumes goes on with the plan of the first; unless the retention was edited meanwhile.
        gone = self._gone_in_earlier_attempts(tables) if tables else Counter[str]()
        if tables and self._is_more_than_planned(tables[0], gone):
            context.log(_("More would be deleted than was planned at first: it is planned again."), "warning")
            tables, gone = None, Counter()
        if tables is None:
            tables = self._make_plan()
            for difference in differences(run.expected, tables):
                context.log(str(difference))
            self._refuse_above_cap(tables)
        for table in tables:
            context.count(table.model, 0)  # "0 comments" is an answer too
        # Else each window would be looked for in the index, among all the rows that go.
        if is_underestimated(self._queryset, tables[0].rows):
            self._analyze(tables[:1])
        before = self._footprints(tables)
        goal = max(0, sum(table.rows for table in tables) - gone.total())
        left = self._delete(tables, goal=goal)
        context.keep_plan([replace(tables[0], left=left), *tables[1:]])
        self._report_footprints(tables, before)
        if left:
            self._tell_what_is_left(tables[0], left)

    @property
    def _run(self) -> JobRun:
        assert self._context.run is not None
        return self._context.run

    def _kept_plan(self) -> list[TablePlan] | None:
        """Return the plan by which an earlier attempt has deleted rows of this table already."""
        if self._label not in self._context.cursor:
            return None
        kept = self._context.plan
        return [table for table in kept if self._label in (table.model, table.cascaded_from)] or None

    def _make_plan(self) -> list[TablePlan]:
        cutoff = self._context.cutoff if self._context.retention_days is not None else None
        tables = plan_deletion(self._queryset, key=self._by, cutoff=cutoff, held=self._held)
        self._context.keep_plan(tables)
        return tables

    def _refuse_above_cap(self, tables: list[TablePlan]) -> None:
        reasons = refusals(self._run.job, tables, approval=self._run.approval, using=self._using)
        if reasons:
            last = _("None of these %(table)s was deleted: look at the plan, then approve or reject.")
            raise NeedsApproval(" ".join([*reasons, last % {"table": tables[0].verbose_name}]))

    def _delete(self, tables: list[TablePlan], *, goal: int) -> int:
        """Delete about ``goal`` rows, and return how many rows of the first table are left all the same."""
        context, run, queryset = self._context, self._run, self._queryset
        name = str(queryset.model._meta.verbose_name_plural)
        counted, before = Counter(context.counts), run.progress_done
        goal += run.progress_total or 0
        total = tables[0].total
        left = tables[0].rows

        def save(gone: Counter[str], cursor: purge.Cursor) -> None:
            context.counts = Counter(counted)
            context.counts.update(gone)
            run.progress_done, run.progress_total, run.stage = before + gone.total(), goal, name
            context.save_cursor(**{self._label: cursor})

        def between(gone: Counter[str]) -> None:
            context.note_commit()
            context.show(before + gone.total(), goal, name)
            context.checkpoint()

        # Rows that the walk had passed when they came (a scrape of old posts) are taken by a second one.
        for cursor in (context.cursor.get(self._label), None):
            try:
                gone = purge.delete_in_batches(
                    queryset,
                    key=self._by,
                    cursor=cursor,
                    save=save,
                    between=between,
                    share=left / total if total else 0.0,
                    total=total,
                )
            except BaseException:
                context.forget_what_was_rolled_back()
                raise
            counted.update(gone)
            before += gone.total()
            context.log(
                _("deleted %(rows)s %(table)s; %(all)s rows with what belongs to them")
                % {"rows": gone[self._label], "table": name, "all": gone.total()}
            )
            left = self._matching()
            if not left:
                break
        return left

    def _matching(self) -> int:
        with without_parallel_workers(self._using):
            return self._queryset.count()

    def _gone_in_earlier_attempts(self, tables: list[TablePlan]) -> Counter[str]:
        gone, earlier = Counter[str](), self._run.retry_of
        while earlier is not None:
            gone.update({table.model: earlier.counts.get(table.model, 0) for table in tables})
            earlier = earlier.retry_of
        return gone

    def _is_more_than_planned(self, table: TablePlan, gone: Counter[str]) -> bool:
        return self._matching() > table.rows * APPROVAL_TOLERANCE - gone[table.model]

    # --- Afterwards ------------------------------------------------------------------------

    def _tell_what_is_left(self, table: TablePlan, left: int) -> None:
        message = _("%(rows)s %(table)s that should be gone are still there.") % {
            "rows": left,
            "table": table.verbose_name,
        }
        earlier = JobRun.objects.filter(
            job=self._run.job, dry_run=False, pk__lt=self._run.pk, plan__isnull=False
        )
        ended = earlier.filter(status__in=[JobRun.Status.SUCCEEDED, JobRun.Status.PARTIAL]).order_by("-pk")
        had_left = [
            any(one["model"] == table.model and one["left"] for one in (plan or {}).get("tables", []))
            for plan in ended.values_list("plan", flat=True)[: LOSING_RUNS - 1]
        ]
        if len(had_left) == LOSING_RUNS - 1 and all(had_left):
            message += " " + _("So did the runs before: rows become due faster than the purge deletes them.")
        self._context.partial(message)
        self._context.log(message, "warning")

    def _analyze(self, tables: list[TablePlan]) -> None:
        try:
            analyze([apps.get_model(table.model) for table in tables], self._using)
        except OperationalError as error:
            self._context.log(_("ANALYZE was not possible: %(error)s") % {"error": error}, "warning")

    def _footprints(self, tables: list[TablePlan]) -> list[Footprint | None]:
        return [footprint(apps.get_model(table.model), self._using) for table in tables]

    def _report_footprints(self, tables: list[TablePlan], before: list[Footprint | None]) -> None:
        """After a large purge, renew the planner's statistics and say what the tables take now."""
        large = [table for table in tables if self._context.counts[table.model] >= ANALYZE_ROWS_MIN]
        self._analyze(large)
        for table, old in zip(tables, before, strict=True):
            new = footprint(apps.get_model(table.model), self._using)
            if old is None or new is None or table not in large:
                continue
            self._context.log(
                _("%(table)s: table %(table_before)s → %(table_after)s, indexes %(index_before)s → %(index_after)s,"
                  " dead rows %(dead_before)s → %(dead_after)s; VACUUM frees their space for new rows")
                % {
                    "table": capfirst(table.verbose_name),
                    "table_before": filesizeformat(old.table_bytes),
                    "table_after": filesizeformat(new.table_bytes),
                    "index_before": filesizeformat(old.index_bytes),
                    "index_after": filesizeformat(new.index_bytes),
                    "dead_before": old.dead_rows,
                    "dead_after": new.dead_rows,
                }
            )  # fmt: skip
