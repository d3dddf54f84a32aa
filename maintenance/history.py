"""What else belongs to the history: rows of the layers above, which register them.

``cleanup_run_history`` deletes them when they are older than its retention.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

# From a cutoff to the rows that are older.
OlderThan = Callable[[datetime], QuerySet[Any]]
_registered: dict[str, tuple[OlderThan, str]] = {}


def register(name: str, older_than: OlderThan, *, by: str) -> None:
    """Register rows under a name; ``by``: their time field."""
    _registered[name] = older_than, by


def registered() -> list[tuple[OlderThan, str]]:
    """Return what was registered, always in the same order."""
    return [_registered[name] for name in sorted(_registered)]
