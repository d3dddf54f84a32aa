"""Percentiles by nearest rank: each is a value that occurs. In Python, and as an aggregate of both databases."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Aggregate


def percentile(ordered: Sequence[timedelta], share: float) -> timedelta:
    """Return the shortest of the (ordered, one or more) durations that at least this share of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Percentile(Aggregate):
    """The percentile of a column, without its nulls; null if it has no other values. It accepts ``filter``."""

    function = "PERCENTILE_DISC"
    name = "Percentile"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    arity = 1

    def __init__(self, expression: Any, share: float, **extra: Any) -> None:
        """``share``: above 0, up to 1."""
        super().__init__(expression, share=float(share), **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Call a function in Python: SQLite has none."""
        connection.ensure_connection()
        connection.connection.create_aggregate("nearest_rank", 2, _Percentile)
        ours = self.copy()
        ours.template = "nearest_rank(%(expressions)s, %(share)s)"
        return ours.as_sql(compiler, connection, **context)


class _Percentile:
    """The aggregate for SQLite; durations are numbers there."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.share = 0.0

    def step(self, value: Any, share: float) -> None:
        """Take one row."""
        self.share = share
        if value is not None:
            self.values.append(value)

    def finalize(self) -> Any:
        """Return the percentile."""
        return percentile(sorted(self.values), self.share) if self.values else None
