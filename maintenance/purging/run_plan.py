"""The plan of one run while it is made: what would be deleted, and whether the run would wait for a person."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from database import clock
from database.messages import as_json
from maintenance.models import JobRun
from maintenance.purging.days import Retention
from maintenance.purging.kept_plan import tables_of
from maintenance.purging.plan import TablePlan


class RunPlan:
    """What a run would delete, table by table; stored in its row, if it has one.

    Args:
        run: None for a preview.
        now: the moment that the cutoffs are counted from.
        retention: None for a job without a retention.
        is_dry_run: whether the run only makes the plan.
        on_made: called once, when a real run has made its plan.
    """

    def __init__(
        self,
        run: JobRun | None,
        *,
        now: datetime,
        retention: Retention | None,
        is_dry_run: bool,
        on_made: Callable[[JobRun], None] | None = None,
    ) -> None:
        self._run, self._now, self._retention = run, now, retention
        self._is_dry_run, self._on_made = is_dry_run, on_made
        self.tables: list[TablePlan] = tables_of(run.plan) if run else []
        # Labels of tables whose held rows the job keeps.
        self.spares_held: list[str] = []
        # Why a real run would wait for a person, as found by a dry run.
        self.would_wait_for: list[str] = []

    def keep(self, tables: list[TablePlan]) -> bool:
        """Add these tables, or replace what the plan has of them. False: another worker owns the run."""
        labels = {table.model for table in tables}
        self.tables = [table for table in self.tables if table.model not in labels] + tables
        if self._run is None:
            return True
        if not self._run.record(plan=self.as_json()):
            return False
        if self._on_made is not None and not self._is_dry_run:
            on_made, self._on_made = self._on_made, None
            on_made(self._run)
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the plan as the run stores it: with the retention under which it was made."""
        return {
            "at": clock.now().isoformat(),
            "now": self._now.isoformat(),
            "retention": self._retention.key() if self._retention else None,
            "spares_held": self.spares_held,
            **(self._outlook() if self._is_dry_run else {}),
            "tables": [table.as_json() for table in self.tables],
        }

    def _outlook(self) -> dict[str, Any]:
        return {"would": "block" if self.would_wait_for else "run", **as_json({"why": self.would_wait_for})}
