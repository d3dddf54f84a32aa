"""Conducts one deletion of a run: plan → mandate → batches → verify."""

import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from adminkit.templatetags.display import moment
from database import clock
from database.background import background_reads
from database.footprint import is_underestimated
from database.grouping import grouped
from database.messages import gettext as _
from database.messages import joined, message_of
from database.returning import Returning
from maintenance.models import JobRun
from maintenance.purging import afterwards, batches
from maintenance.purging.cap import usual
from maintenance.purging.counting import count_deletion
from maintenance.purging.interface import GONE, Condition, DeletionContext, gone
from maintenance.purging.mandate_check import MandateCheck, NotAllowed
from maintenance.purging.passed_over import PassedOver
from maintenance.purging.plan import TablePlan, plan_deletion
from maintenance.purging.walks import Cursor
from maintenance.stops import BlockRun, JobFailed


class Deletion:
    """The deletion of one queryset and of what the database cascades from its rows."""

    def __init__(self, context: DeletionContext, condition: Condition, *, number: int) -> None:
        self._context, self._condition = context, condition
        self._label = condition.queryset.model._meta.label
        self._using = condition.queryset.db
        self._is_first = number == 0
        self._check = MandateCheck(context, condition, number=number)
        # What the last walk could not delete.
        self._passed_over = PassedOver(self._using)
        if condition.held is not None:
            context.plan.spares_held.append(self._label)

    def carry_out(self) -> None:
        """Delete; in a dry run or a preview, plan only.

        Raises:
            JobFailed: this host's clock is wrong.
            BlockRun: a person must approve the plan first; this attempt deleted nothing of this table, or more
                rows have come than the mandate allows.
            HandBack: the retention was edited meanwhile; what was deleted is committed.
        """
        is_real = not self._context.dry_run and self._context.run is not None
        if is_real or self._is_first:  # a preview of many tables says it once
            _refuse_skew(self._context, is_real=is_real)
        if is_real:
            self._perform()
        else:
            self._describe()

    def _describe(self) -> None:
        context = self._context
        tables = self._make_plan()
        for table in tables:
            context.count(table.model, table.rows)
            context.log(
                _("%(rows)s of %(total)s %(table)s would be deleted")
                % {"rows": grouped(table.rows), "total": grouped(table.total), "table": table.verbose_name}
            )
        context.plan.would_wait_for += self._check.above_caps(tables)
        context.message = _what_a_run_would_do(context.plan.would_wait_for)
        context.keep_plan([])

    def _perform(self) -> None:
        context, using = self._context, self._using
        tables = self._kept_plan()
        if tables is None:
            tables = now = self._make_plan()
        else:
            now = self._counted_now(tables)
        try:
            self._check.hold(now, is_resumed=tables is not now)
        except NotAllowed as objections:
            self._wait_for_approval(objections.args, now if tables is now else self._make_plan())
        for table in tables:
            context.count(table.model, 0)  # "0 comments" is a result too
        # Otherwise the planner would search the whole index again for each window.
        if is_underestimated(self._check.queryset, now[0].rows):
            afterwards.renew_statistics(context, tables[:1], using=using)
        before, gone_before = afterwards.footprints(tables, using=using), gone(context)
        try:
            left = self._delete(now)
        except NotAllowed as objections:
            self._wait_for_approval(objections.args, self._make_plan())
        context.keep_plan([replace(tables[0], left=left), *tables[1:]])
        afterwards.report_footprints(context, tables, before, using=using)
        if gone_before and not left:
            context.message = afterwards.total_in_words(context, tables)
        if left and (self._passed_over.rows or self._passed_over.is_stuck):
            # The run is tried again soon.
            waiting = afterwards.what_waits(self._passed_over, tables[0], left)
            context.partial(waiting, is_transient=True)
            context.log(context.message, "warning")
        elif left:
            afterwards.tell_what_is_left(context, tables[0], left)

    def _wait_for_approval(self, reasons: Sequence[str], tables: list[TablePlan]) -> NoReturn:
        last = _("None of these %(table)s was deleted: look at the plan, then approve or reject.")
        self._context.message = joined([*reasons, last % {"table": tables[0].verbose_name}])
        raise BlockRun from None

    # --- Planning --------------------------------------------------------------------------

    def _kept_plan(self) -> list[TablePlan] | None:
        """Return the plan by which an earlier attempt has already deleted rows of this table."""
        if self._label not in self._context.cursor:
            return None
        kept = self._context.plan.tables
        return [table for table in kept if self._label in (table.model, table.cascaded_from)] or None

    def _make_plan(self) -> list[TablePlan]:
        cutoff = self._context.cutoff if self._context.retention is not None else None
        wanted = self._condition.queryset  # without the mandate: an approver must see all of it
        tables = plan_deletion(
            wanted,
            key=self._condition.by,
            cutoff=cutoff,
            held=self._condition.held,
            now=self._context.now,
            facts=self._condition.facts,
            # Only a preview, which has no run, may estimate; the numbers of a run are its limits, so they are counted.
            is_preview=self._context.run is None,
        )
        done = gone(self._context)
        tables = [replace(table, gone=done[table.model]) for table in tables]
        rules = self._context.rules
        known = usual(rules.last_purges if rules else (), {table.model for table in tables})
        tables[0] = replace(tables[0], usual=known[0] if known else None)
        self._context.keep_plan(tables)
        return tables

    def _counted_now(self, tables: list[TablePlan]) -> list[TablePlan]:
        """Return the plan with the rows that match now, and those that are deleted already."""
        rows, done = count_deletion(self._check.queryset, key=self._condition.by), gone(self._context)
        return [
            replace(
                table,
                rows=rows[table.model],
                total=max(rows[table.model], table.total + table.gone - done[table.model]),
                gone=done[table.model],
            )
            for table in tables
            if table.model in rows
        ]

    # --- Deleting --------------------------------------------------------------------------

    def _delete(self, tables: list[TablePlan]) -> int:
        """Delete the rows, and return how many rows of the first table are still left."""
        context, left = self._context, tables[0].rows
        goal = sum(table.rows for table in tables) + (self._run.progress_total or 0)
        # Rows that were added behind the walk (a scrape of old posts) are deleted by a second walk.
        for cursor in (context.cursor.get(self._label), None):
            deleted = self._walk(tables, cursor, left=left, goal=goal)
            left = self._matching()
            # Rows that could not be deleted a moment ago are left for the next attempt.
            is_last = left <= self._passed_over.rows or self._passed_over.is_stuck
            if left and is_last:
                # Noted first: SQLite refuses the log line while another process writes.
                waiting = afterwards.what_waits(self._passed_over, tables[0], left)
                context.partial(waiting, is_transient=True)
            context.log(
                _("deleted %(rows)s %(table)s; %(all)s rows with what belongs to them")
                % {"rows": deleted[self._label], "table": self._name, "all": deleted.total()}
            )
            if is_last:
                break
        return left

    def _walk(self, tables: list[TablePlan], cursor: Cursor | None, *, left: int, goal: int) -> Counter[str]:
        """Walk once over the rows that match, starting at the cursor; return what was deleted."""
        context, run, name = self._context, self._run, self._name
        counted, before, gone_before = Counter(context.counts), run.progress_done, gone(context)

        def save(deleted: Counter[str], cursor: Cursor | None) -> None:
            self._check.refuse_outgrown(gone_before + deleted, tables)
            context.counts = Counter(counted)
            context.counts.update(deleted)
            run.progress_done, run.progress_total, run.stage = before + deleted.total(), goal, name
            context.save_cursor(**{self._label: cursor, GONE: dict(gone_before + deleted)})

        def between(deleted: Counter[str]) -> None:
            context.note_commit()
            context.show(before + deleted.total(), goal, name)
            context.checkpoint()
            self._check.hand_back_if_edited()

        self._passed_over = PassedOver(self._using)
        try:
            return batches.delete_in_batches(
                self._check.queryset,
                key=self._condition.by if self._condition.is_indexed else None,
                cursor=cursor,
                save=save,
                between=between,
                share=left / tables[0].total if tables[0].total else 0.0,
                total=tables[0].total,
                passed_over=self._passed_over,
                undone=context.take_back,
                returning=self._returning,
            )
        except BaseException:
            context.forget_what_was_rolled_back()
            raise

    @property
    def _run(self) -> JobRun:
        assert self._context.run is not None
        return self._context.run

    @property
    def _name(self) -> str:
        return message_of(self._condition.queryset.model._meta.verbose_name_plural)

    @property
    def _returning(self) -> Returning | None:
        trace, run_id = self._condition.trace, self._run.pk
        if trace is None:
            return None
        return Returning(trace.expressions, lambda rows: trace.write(rows, run_id=run_id))

    def _matching(self) -> int:
        with background_reads(self._using):
            return self._check.queryset.count()


def _what_a_run_would_do(reasons: Sequence[str]) -> str:
    if not reasons:
        return _("It would run.")
    return joined([_("It would wait for approval."), *reasons])


def _refuse_skew(context: DeletionContext, *, is_real: bool) -> None:
    """Refuse to delete on a host whose clock is wrong: more of its state may be wrong too."""
    try:
        clock.refuse_skew()
    except clock.ClockSkew as skew:
        text = _(
            "The clock of host %(name)s is wrong: it shows %(host)s, the database's %(database)s."
            " Nothing was deleted. Set the host's clock, such as by NTP, and run again."
        ) % {
            "name": socket.gethostname(),
            "host": moment(skew.host),
            "database": moment(skew.database),
        }
        if is_real:
            raise JobFailed(text) from None
        # The plan is right nevertheless: it is made by the database's clock.
        context.log(text, "warning")
