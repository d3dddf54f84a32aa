"""Which run this thread performs: for each line that it logs."""

from contextvars import ContextVar

# The key of the run; None: this thread performs none.
current: ContextVar[int | None] = ContextVar("current_run", default=None)
