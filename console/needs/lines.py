"""A line of the list "Needs you": what it says, and what this person can do about it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Action:
    """A button; only what the person may do becomes one."""

    label: str
    url: str


@dataclass(frozen=True)
class Line:
    """Something that goes on until somebody acts, in the reader's language."""

    # Names the shape and the colour (``adminkit.marks``).
    kind: str
    text: str
    since: datetime | None = None
    # Numbers, and what brought it about.
    figures: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    # An error as a program wrote it.
    error: str = ""


@dataclass(frozen=True)
class Recovered:
    """Failures of today that a later run has made good."""

    text: str
    times: int
    fine_since: datetime
    url: str
