"""How much of a space a test draws: a seeded sample in `make test`, the whole of it in `make soak`."""

import os
from typing import TypeVar

Number = TypeVar("Number", int, float)

IS_SOAK = os.environ.get("SOAK") == "1"


def size(sample: Number, full: Number) -> Number:
    """Return how many cases a test draws: ``sample`` in the suite, ``full`` in a soak."""
    return full if IS_SOAK else sample
