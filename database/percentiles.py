"""Percentiles by nearest rank: each is a value that occurs."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connection

Value = TypeVar("Value", int, timedelta)


def percentile(ordered: Sequence[Value], share: float) -> Value:
    """Return the least of the (ordered, one or more) values that at least this share of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def percentile_sql(column: str, share: float) -> str:
    """Return the percentile of a column as an aggregate for a statement that is not written by Django."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.create_aggregate("nearest_rank", 2, _NearestRank)
        return f"nearest_rank({column}, {share})"
    return f"PERCENTILE_DISC({share}) WITHIN GROUP (ORDER BY {column})"


class _NearestRank:
    """The aggregate for SQLite, which has none."""

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
