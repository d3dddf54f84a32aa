"""The interface by which a deletion knows its job and its run without importing them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, NoReturn, Protocol

from django.db import models

from maintenance.models import JobRun
from maintenance.purging.cap import Caps, Purge, last_purges
from maintenance.purging.days import Retention
from maintenance.purging.facts import Facts
from maintenance.purging.plan import TablePlan
from maintenance.purging.run_plan import RunPlan

# In a run's cursor: how many rows it has deleted in all its attempts, by label of the table.
GONE = "gone"


class Trace(Protocol):
    """Records which rows were deleted, in the transaction of each batch."""

    @property
    def expressions(self) -> Sequence[Any]:
        """The expressions that it needs of each row."""

    def write(self, rows: Sequence[tuple[Any, ...]], *, run_id: int) -> None:
        """Record these rows; each is the tuple of its expressions' values."""


class Condition(NamedTuple):
    """What a job would delete from one table."""

    queryset: models.QuerySet[Any]
    # The time field that decides its age.
    by: str
    # Rows that are old enough but kept by a hold; None: the job knows no holds.
    held: models.QuerySet[Any] | None
    # What the job knows about its rows, for the plan.
    facts: Facts = Facts()
    # Whether the caps by share and by the usual number apply: not to worthless rows that come in large groups.
    has_relative_caps: bool = True
    # Whether ``by`` has an index.
    is_indexed: bool = True
    trace: Trace | None = None


@dataclass(frozen=True)
class DeletionRules:
    """What a job's declaration and its operators decide about its deletions."""

    job: str
    # The job's function, called again to find out what it would delete under another retention.
    function: Callable[[Any], None]
    # None: it has no retention. Read again before each batch.
    read_retention: Callable[[], Retention | None]
    caps: Caps

    @cached_property
    def last_purges(self) -> list[Purge]:
        """The job's last purges; read once for all tables of a plan."""
        return last_purges(self.job)


class DeletionContext(Protocol):
    """What a deletion needs of its run's context."""

    run: JobRun | None
    dry_run: bool
    counts: Counter[str]
    message: str
    plan: RunPlan
    now: datetime
    retention: Retention | None
    # None: it is not for a job of the list.
    rules: DeletionRules | None

    @property
    def cutoff(self) -> datetime:
        """The moment before which rows are old."""

    @property
    def cursor(self) -> Mapping[str, Any]:
        """What earlier attempts saved."""

    def show(self, done: int, total: int | None, stage: str) -> None:
        """Report progress to the listener."""

    def log(self, text: str, level: str = "info") -> None:
        """Write a line of the run's log."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to the run's counts."""

    def partial(self, message: str, *, is_transient: bool = False) -> None:
        """Note that some of the work failed, perhaps for a transient cause."""

    def checkpoint(self) -> None:
        """Raise if the run must stop."""

    def lose_claim(self) -> NoReturn:
        """Stop, because another process owns the run."""

    def save_cursor(self, **values: Any) -> None:
        """Save cursor, counts and progress."""

    def keep_plan(self, tables: list[TablePlan]) -> None:
        """Keep the plan on the run."""

    def conditions_under(self, retention: Retention) -> list[Condition]:
        """Return what the job would delete under another retention."""

    def note_commit(self) -> None:
        """Remember the state that the row has now."""

    def take_back(self) -> None:
        """Undo what was counted and saved since note_commit()."""

    def forget_what_was_rolled_back(self) -> None:
        """Take counts and cursor from the row."""


def gone(context: DeletionContext) -> Counter[str]:
    """Return how many rows a run has deleted in all its attempts, by label of the table."""
    return Counter(context.cursor.get(GONE, {}))
