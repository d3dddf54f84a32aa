"""The places of the work that a trace shows: runs and requests to Reddit.

They are here, below everything, so that the work knows nothing of traces; ``console.tracing`` puts its functions in.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Around(Protocol):
    """Does a piece of work and returns its result."""

    def __call__(self, subject: Any, work: Callable[[], Result], /) -> Result:
        """Do it; ``subject`` is what it is about."""


def plain(_subject: Any, work: Callable[[], Result]) -> Result:
    """Do the work, and nothing else."""
    return work()


class Apart(Protocol):
    """Does a piece of work that belongs to no trace, and returns its result."""

    def __call__(self, work: Callable[[], Result], /) -> Result:
        """Do it."""


def plainly_apart(work: Callable[[], Result]) -> Result:
    """Do the work, and nothing else."""
    return work()


# Of a ``JobRun``: from its claim to its end. The result: whether it could be claimed.
around_run: Around = plain
# Of a ``requests.PreparedRequest`` to Reddit. The result: the answer.
around_request: Around = plain
# What is done for something else than the work that a trace shows.
apart: Apart = plainly_apart
