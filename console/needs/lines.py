"""A line of the list "Needs you": its content, and the actions of this person."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Action:
    """A button for an action that the person may do."""

    label: str
    url: str


@dataclass(frozen=True)
class Line:
    """A problem that lasts until somebody acts, in the reader's language."""

    # The name of the shape and the colour (``adminkit.marks``).
    kind: str
    text: str
    since: datetime | None = None
    # Numbers, and the cause.
    figures: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    # The error text of a program.
    error: str = ""
    # It may have lasted for longer.
    may_be_older: bool = False


@dataclass(frozen=True)
class Muted:
    """An open alert that somebody has muted: why, and until when."""

    text: str
    until: datetime
    by: str
    reason: str
    url: str


@dataclass(frozen=True)
class Recovered:
    """Failures of the last day after which a later run succeeded."""

    text: str
    times: int
    fine_since: datetime
    url: str
    # There may be more failures, and an earlier success, than were read.
    or_more: bool = False
    or_earlier: bool = False
