"""Checks what a run is about to delete against its mandate, the caps in force and the current retention."""

from collections import Counter
from dataclasses import replace

from django.db import transaction
from django.db.models import Exists, OuterRef

from database import clock
from database.background import background_reads
from database.grouping import grouped
from database.messages import gettext as _
from maintenance.models import JobRun
from maintenance.purging import mandate as mandates
from maintenance.purging.cap import Caps, refusals
from maintenance.purging.days import range_between
from maintenance.purging.interface import Condition, DeletionContext, gone
from maintenance.purging.mandate import Mandate
from maintenance.purging.plan import TablePlan, differences
from maintenance.stops import HandBack


class NotAllowed(Exception):
    """More rows, or other rows, would be deleted than the mandate allows; its arguments say which."""


class MandateCheck:
    """The check of one deletion of a run.

    ``queryset`` is all that the job would delete; ``hold`` narrows it to what the mandate allows too.
    """

    def __init__(self, context: DeletionContext, condition: Condition, *, number: int) -> None:
        self.queryset = condition.queryset
        self._context, self._condition, self._number = context, condition, number
        self._label, self._using = self.queryset.model._meta.label, self.queryset.db
        # The mandate under which this attempt deletes, once it is checked.
        self._given: Mandate = mandates.of_rule(at=context.now)

    def hold(self, tables: list[TablePlan], *, is_resumed: bool) -> None:
        """Compare what would be deleted now with the mandate, and store the completed mandate.

        Raises:
            NotAllowed: this attempt has deleted nothing of this table.
        """
        run, now = self._run, clock.now()
        asked = Mandate.from_json(run.mandate) or mandates.of_rule(at=now)
        given = asked.completed(
            tables,
            retention=self._context.retention,
            spares_held=self._context.plan.spares_held,
            caps=self._caps,
        )
        for difference in differences(given.rows, tables) if not is_resumed else ():
            self._context.log(str(difference))
        objections = [*self._moved(given, tables), *given.objections(tables)]
        if not given.is_valid(now) and not gone(self._context):
            objections.append(_("The plan that was allowed is more than a day old."))
        caps = self._caps_of(given)
        if caps is not None:
            objections += refusals(self._job, tables, caps=caps, using=self._using)
        if objections:
            raise NotAllowed(*objections)
        self._keep(given)
        self._given = given

    def above_caps(self, tables: list[TablePlan]) -> list[str]:
        """Return how the tables exceed the caps in force."""
        return refusals(self._job, tables, caps=self._caps, using=self._using)

    def refuse_outgrown(self, gone: Counter[str], tables: list[TablePlan]) -> None:
        """Raise NotAllowed if more rows are deleted than the mandate allows: rows may come during the run.

        That rolls back the batch that went beyond the limit.
        """
        gone_tables = [replace(table, rows=0, gone=gone[table.model]) for table in tables]
        reasons = self._given.objections(gone_tables)
        caps = self._caps_of(self._given)
        if caps is not None and sum(table.gone for table in gone_tables) > caps.rows:
            reasons += refusals(
                self._run.job, gone_tables, caps=replace(caps, has_relative=False), using=self._using
            )
        if reasons:
            raise NotAllowed(*reasons)

    def hand_back_if_edited(self) -> None:
        """Hand the run back if the retention was edited during this attempt and now keeps some of the rows."""
        context = self._context
        if context.rules is None or context.retention is None:
            return
        stored = context.rules.read_retention()
        if stored is None or stored.key() == context.retention.key():
            return
        due = context.conditions_under(stored)[self._number].queryset
        between = range_between(self._condition.by, context.now, stored, context.retention)
        kept = self.queryset.filter(~Exists(due.filter(pk=OuterRef("pk"))), **between)
        with background_reads(self._using):
            if kept.exists():
                context.message = _("The retention was changed: it goes on under the new one.")
                raise HandBack(reason=JobRun.Reason.RETENTION)

    @property
    def _run(self) -> JobRun:
        assert self._context.run is not None
        return self._context.run

    @property
    def _caps(self) -> Caps:
        return self._own(self._context.rules.caps if self._context.rules else Caps.in_force())

    def _own(self, caps: Caps) -> Caps:
        return replace(caps, has_relative=caps.has_relative and self._condition.has_relative_caps)

    def _caps_of(self, given: Mandate) -> Caps | None:
        caps = given.caps_for(self._label, self._caps)
        return None if caps is None else self._own(caps)

    @property
    def _job(self) -> str:
        return self._context.rules.job if self._context.rules else ""

    def _moved(self, given: Mandate, tables: list[TablePlan]) -> list[str]:
        """Return which rows the current retention would delete, but not that of the mandate."""
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
        between = range_between(self._condition.by, self._context.now, kept, current)
        others = self.queryset.filter(~Exists(allowed.filter(pk=OuterRef("pk"))), **between).order_by()
        with background_reads(self._using):
            rows = others.count()
        if rows:
            reasons.append(
                _("Changed since the plan: under the retention as it is now, %(rows)s other %(table)s would be deleted.")
                % {"rows": grouped(rows), "table": name}
            )  # fmt: skip
        # Rows that appear after this check must satisfy both retentions.
        self.queryset = self.queryset & allowed
        return reasons

    def _keep(self, mandate: Mandate) -> None:
        """Store the mandate, under the lock of the run's row, if the stored one is still the one that was checked."""
        run = self._run
        with transaction.atomic():
            mine = JobRun.objects.running().filter(pk=run.pk, worker=run.worker)
            found = list(mine.select_for_update().values_list("mandate", flat=True))
            if found != [run.mandate]:
                self._context.lose_claim()
            run.record(mandate=mandate.as_json())
