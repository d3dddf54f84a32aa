"""Percentiles by nearest rank: each is a value that occurs."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

Value = TypeVar("Value", int, timedelta)


def percentile(ordered: Sequence[Value], share: float) -> Value:
    """Return the least of the (ordered, one or more) values that at least this share of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
