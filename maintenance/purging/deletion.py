"""Conducts one deletion of a run: plan → mandate → batches → verify."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from django.apps import apps
from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef

from database import clock
from database.background import background_reads
from database.footprint import Footprint, analyze, footprint, is_underestimated
from database.messages import file_size, joined, message_of
from database.messages import gettext as _
from database.returning import Returning
from maintenance.models import JobRun
from maintenance.models.statuses import WORKED
from maintenance.purging import batches
from maintenance.purging import mandate as mandates
from maintenance.purging.cap import Caps, refusals, usual
from maintenance.purging.days import range_between
from maintenance.purging.facts import grouped, rule_effects
from maintenance.purging.kept_plan import tables_of
from maintenance.purging.mandate import Mandate
from maintenance.purging.passed_over import PassedOver
from maintenance.purging.plan import TablePlan, count_deletion, differences, plan_deletion
from maintenance.purging.surroundings import Condition, Surroundings
from maintenance.purging.walks import Cursor

# From so many deleted rows on, the planner's statistics of a table are renewed.
ANALYZE_ROWS_MIN = 10_000
# So many purges in a row that left rows over mean that rows become due faster than they go.
LOSING_RUNS = 3


# In a run's cursor: how many rows it has deleted in all its attempts, by label.
GONE = "gone"


class NeedsApproval(Exception):
    """A person must look at the plan first; the message says why."""


class RetentionEdited(Exception):
    """Rows that this attempt would delete next are to be kept since it began."""


class Outgrown(Exception):
    """More than was allowed would be gone after this batch; its arguments say of what."""


class Deletion:
    """The deletion of one queryset and of what the database cascades from its rows."""

    def __init__(self, context: Surroundings, condition: Condition, *, number: int) -> None:
        self._context, self._condition, self._number = context, condition, number
        self._queryset, self._by = condition.queryset, condition.by
        self._label = self._queryset.model._meta.label
        self._using = self._queryset.db
        # What this attempt was found to be allowed.
        self._given: Mandate = mandates.of_rule(at=context.now)
        # What the last walk could not delete.
        self._passed_over = PassedOver(self._using)

    def describe(self) -> list[str]:
        """Plan; delete nothing. Return why a real run would wait for a person."""
        tables = self._make_plan()
        for table in tables:
            self._context.count(table.model, table.rows)
            self._context.log(
                _("%(rows)s of %(total)s %(table)s would be deleted")
                % {"rows": table.rows, "total": table.total, "table": table.verbose_name}
            )
        return self._above_caps(tables, self._caps)

    def perform(self) -> None:
        """Delete.

        Raises:
            NeedsApproval: nothing of this table was deleted by this attempt.
            RetentionEdited: see there; what was deleted is committed.
        """
        context = self._context
        tables = self._kept_plan()
        if tables is None:
            tables = now = self._make_plan()
        else:
            now = self._counted_now(tables)
        self._check_mandate(now, is_resumed=tables is not now)
        for table in tables:
            context.count(table.model, 0)  # "0 comments" is an answer too
        # Else each window would be looked for in the index, among all the rows that go.
        if is_underestimated(self._queryset, now[0].rows):
            self._analyze(tables[:1])
        before, gone_before = self._footprints(tables), self._gone()
        try:
            left = self._delete(now)
        except Outgrown as reasons:
            raise self._needs_approval(reasons.args, self._make_plan()) from None
        context.keep_plan([replace(tables[0], left=left), *tables[1:]])
        self._report_footprints(tables, before)
        if gone_before and not left:
            context.message = self._total_in_words(tables)
        if left and (self._passed_over.rows or self._passed_over.is_stuck):
            # The run is tried again soon.
            context.partial(self._what_waits(tables[0], left), is_transient=True)
            context.log(context.message, "warning")
        elif left:
            self._tell_what_is_left(tables[0], left)

    @property
    def _run(self) -> JobRun:
        assert self._context.run is not None
        return self._context.run

    @property
    def _caps(self) -> Caps:
        return self._own(self._context.terms.caps if self._context.terms else Caps.in_force())

    def _own(self, caps: Caps) -> Caps:
        return replace(caps, has_relative=caps.has_relative and self._condition.has_relative_caps)

    def _caps_of(self, given: Mandate) -> Caps | None:
        caps = given.caps_for(self._label, self._caps)
        return None if caps is None else self._own(caps)

    # --- Planning --------------------------------------------------------------------------

    def _kept_plan(self) -> list[TablePlan] | None:
        """Return the plan by which an earlier attempt has deleted rows of this table already."""
        if self._label not in self._context.cursor:
            return None
        kept = self._context.plan
        return [table for table in kept if self._label in (table.model, table.cascaded_from)] or None

    def _make_plan(self) -> list[TablePlan]:
        cutoff = self._context.cutoff if self._context.retention is not None else None
        wanted = self._condition.queryset  # all of it: who decides must see what the rule takes now
        tables = plan_deletion(
            wanted, key=self._by, cutoff=cutoff, held=self._condition.held, now=self._context.now
        )
        gone = self._gone()
        tables = [replace(table, gone=gone[table.model]) for table in tables]
        tables[0] = self._with_facts(tables[0], {table.model for table in tables})
        self._context.keep_plan(tables)
        return tables

    def _with_facts(self, table: TablePlan, labels: set[str]) -> TablePlan:
        """Return the plan of the first table with what decides it."""
        facts, known = self._condition.facts, usual(self._job, labels)
        cutoff = self._context.cutoff if self._context.retention is not None else None
        return replace(
            table,
            groups=grouped(self._condition.queryset, facts, rows=table.rows),
            rules=rule_effects(facts, by=self._by, cutoff=cutoff) if cutoff else [],
            usual=known[0] if known else None,
        )

    @property
    def _job(self) -> str:
        return self._context.terms.job if self._context.terms else ""

    def _counted_now(self, tables: list[TablePlan]) -> list[TablePlan]:
        """Return the plan with the rows that match now, and those that are gone."""
        rows, gone = count_deletion(self._queryset), self._gone()
        return [
            replace(
                table,
                rows=rows[table.model],
                total=max(rows[table.model], table.total + table.gone - gone[table.model]),
                gone=gone[table.model],
            )
            for table in tables
            if table.model in rows
        ]

    def _gone(self) -> Counter[str]:
        """Return what this run has deleted in all its attempts."""
        return Counter(self._context.cursor.get(GONE, {}))

    # --- The mandate -----------------------------------------------------------------------

    def _check_mandate(self, tables: list[TablePlan], *, is_resumed: bool) -> None:
        """Hold what would go now against what was allowed; narrow the deletion to both."""
        run, now = self._run, clock.now()
        asked = Mandate.from_json(run.mandate) or mandates.of_rule(at=now)
        given = asked.completed(
            tables,
            retention=self._context.retention,
            spares_held=self._context.plan_as_json()["spares_held"],
            caps=self._caps,
        )
        for difference in differences(given.rows, tables) if not is_resumed else ():
            self._context.log(str(difference))
        objections = [*self._moved(given, tables), *given.objections(tables)]
        if not given.is_valid(now) and not self._gone():
            objections.append(_("The plan that was allowed is more than a day old."))
        caps = self._caps_of(given)
        if caps is not None:
            objections += self._above_caps(tables, caps)
        if objections:
            raise self._needs_approval(objections, self._make_plan() if is_resumed else tables)
        self._keep(given)
        self._given = given

    @staticmethod
    def _needs_approval(reasons: Sequence[str], tables: list[TablePlan]) -> NeedsApproval:
        last = _("None of these %(table)s was deleted: look at the plan, then approve or reject.")
        return NeedsApproval(joined([*reasons, last % {"table": tables[0].verbose_name}]))

    def _refuse_outgrown(self, gone: Counter[str], tables: list[TablePlan]) -> None:
        """Undo a batch by which more would be gone than was allowed: rows may come while the run deletes."""
        gone_tables = [replace(table, rows=0, gone=gone[table.model]) for table in tables]
        reasons = self._given.objections(gone_tables)
        caps = self._caps_of(self._given)
        if caps is not None and sum(table.gone for table in gone_tables) > caps.rows:
            reasons += refusals(
                self._run.job, gone_tables, caps=replace(caps, has_relative=False), using=self._using
            )
        if reasons:
            raise Outgrown(*reasons)

    def _above_caps(self, tables: list[TablePlan], caps: Caps) -> list[str]:
        return refusals(self._job, tables, caps=caps, using=self._using)

    def _moved(self, given: Mandate, tables: list[TablePlan]) -> list[str]:
        """Return what the rule that holds now would delete and the mandate's would not."""
        name = tables[0].verbose_name
        reasons: list[str] = []
        if self._label in (given.spares_held or ()) and self._condition.held is None:
            reasons.append(
                _("Changed since the plan: held %(table)s are not spared any more.") % {"table": name}
            )
        kept, current = given.kept, self._context.retention
        if kept is None or current is None or kept.key() == current.key():
            return reasons
        allowed = self._context.conditions_under(kept)[self._number].queryset
        between = range_between(self._by, self._context.now, kept, current)
        others = self._queryset.filter(~Exists(allowed.filter(pk=OuterRef("pk"))), **between).order_by()
        with background_reads(self._using):
            rows = others.count()
        if rows:
            reasons.append(
                _("Changed since the plan: under the retention as it is now, %(rows)s other %(table)s would be deleted.")
                % {"rows": rows, "table": name}
            )  # fmt: skip
        # What comes between this look and a batch must satisfy both.
        self._queryset = self._queryset & allowed
        return reasons

    def _keep(self, mandate: Mandate) -> None:
        """Write the mandate down, under the lock of the run's row, if it is still what was checked."""
        run = self._run
        with transaction.atomic():
            mine = JobRun.objects.running().filter(pk=run.pk, worker=run.worker)
            found = list(mine.select_for_update().values_list("mandate", flat=True))
            if found != [run.mandate]:
                self._context.lose_claim()
            run.record(mandate=mandate.as_json())

    def _heed_edit(self) -> None:
        """Stop where rows that would go next are to be kept since this attempt began."""
        context = self._context
        if context.terms is None or context.retention is None:
            return
        stored = context.terms.read_retention()
        if stored is None or stored.key() == context.retention.key():
            return
        doomed = context.conditions_under(stored)[self._number].queryset
        between = range_between(self._by, context.now, stored, context.retention)
        spared = self._queryset.filter(~Exists(doomed.filter(pk=OuterRef("pk"))), **between)
        with background_reads(self._using):
            if spared.exists():
                raise RetentionEdited

    # --- Deleting --------------------------------------------------------------------------

    def _delete(self, tables: list[TablePlan]) -> int:
        """Delete the rows, and return how many rows of the first table are left all the same."""
        context, run, queryset = self._context, self._run, self._queryset
        name = message_of(queryset.model._meta.verbose_name_plural)
        counted, before = Counter(context.counts), run.progress_done
        gone_before = self._gone()
        goal = sum(table.rows for table in tables) + (run.progress_total or 0)
        total = tables[0].total
        left = tables[0].rows

        def save(gone: Counter[str], cursor: Cursor | None) -> None:
            self._refuse_outgrown(gone_before + gone, tables)
            context.counts = Counter(counted)
            context.counts.update(gone)
            run.progress_done, run.progress_total, run.stage = before + gone.total(), goal, name
            context.save_cursor(**{self._label: cursor, GONE: dict(gone_before + gone)})

        def between(gone: Counter[str]) -> None:
            context.note_commit()
            context.show(before + gone.total(), goal, name)
            context.checkpoint()
            self._heed_edit()

        # Rows that the walk had passed when they came (a scrape of old posts) are taken by a second one.
        for cursor in (context.cursor.get(self._label), None):
            self._passed_over = PassedOver(self._using)
            try:
                gone = batches.delete_in_batches(
                    queryset,
                    key=self._by if self._condition.is_indexed else None,
                    cursor=cursor,
                    save=save,
                    between=between,
                    share=left / total if total else 0.0,
                    total=total,
                    passed_over=self._passed_over,
                    undone=context.take_back,
                    returning=self._returning,
                )
            except BaseException:
                context.forget_what_was_rolled_back()
                raise
            counted.update(gone)
            gone_before = gone_before + gone
            before += gone.total()
            left = self._matching()
            # What could not be deleted a moment ago is the next attempt's.
            is_last = left <= self._passed_over.rows or self._passed_over.is_stuck
            if left and is_last:
                # Said first: while another process writes, SQLite takes no line of the log.
                context.partial(self._what_waits(tables[0], left), is_transient=True)
            context.log(
                _("deleted %(rows)s %(table)s; %(all)s rows with what belongs to them")
                % {"rows": gone[self._label], "table": name, "all": gone.total()}
            )
            if is_last:
                break
        return left

    @property
    def _returning(self) -> Returning | None:
        trace, run_id = self._condition.trace, self._run.pk
        if trace is None:
            return None
        return Returning(trace.expressions, lambda rows: trace.write(rows, run_id=run_id))

    def _matching(self) -> int:
        with background_reads(self._using):
            return self._queryset.count()

    def _total_in_words(self, tables: list[TablePlan]) -> str:
        """Return what all attempts have deleted together: the last one of them may have found nothing more to do."""
        gone = self._gone()
        each = joined((f"{gone[table.model]} " + table.verbose_name for table in tables), by=", ")
        return _("All attempts together deleted %(rows)s.") % {"rows": each}

    # --- Afterwards ------------------------------------------------------------------------

    def _what_waits(self, table: TablePlan, left: int) -> str:
        return _("%(rows)s %(table)s could not be deleted so far: %(who)s.") % {
            "rows": left,
            "table": table.verbose_name,
            "who": self._passed_over.who(),
        }

    def _tell_what_is_left(self, table: TablePlan, left: int) -> None:
        message = _("%(rows)s %(table)s that should be gone are still there.") % {
            "rows": left,
            "table": table.verbose_name,
        }
        earlier = JobRun.objects.filter(
            job=self._run.job, dry_run=False, pk__lt=self._run.pk, plan__isnull=False
        )
        # One that was tried again had met a lock.
        ended = earlier.filter(status__in=WORKED, next_attempt=None).order_by("-pk")
        had_left = [
            any(one.model == table.model and one.left for one in tables_of(plan))
            for plan in ended.values_list("plan", flat=True)[: LOSING_RUNS - 1]
        ]
        if len(had_left) == LOSING_RUNS - 1 and all(had_left):
            message = joined(
                [message, _("So did the runs before: rows become due faster than the purge deletes them.")]
            )
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
                    "table": table.verbose_name.capitalized(),
                    "table_before": file_size(old.table_bytes),
                    "table_after": file_size(new.table_bytes),
                    "index_before": file_size(old.index_bytes),
                    "index_after": file_size(new.index_bytes),
                    "dead_before": old.dead_rows,
                    "dead_after": new.dead_rows,
                }
            )  # fmt: skip
