"""What the floors above keep that means nothing without a bot, such as its schedules.

They register it here; the pages that delete bots show it and offer to delete it too. A foreign key would be followed
by Django itself: this is for what names a bot in other ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from django.http import HttpRequest

from scraping.models import BotConfig


@dataclass(frozen=True)
class Dependent:
    """One thing that names a bot, as the page shows it."""

    title: str
    address: str


class Dependents(Protocol):
    """A kind of such things."""

    def of(self, bots: Sequence[BotConfig]) -> Sequence[Dependent]:
        """Return those that name one of the bots."""
        ...

    def may_see(self, request: HttpRequest) -> bool:
        """Whether the person may look at them."""
        ...

    def may_delete(self, request: HttpRequest) -> bool:
        """Whether the person may delete them."""
        ...

    def delete(self, request: HttpRequest, bots: Sequence[BotConfig]) -> None:
        """Delete those that name one of the bots."""
        ...


# The floor that keeps schedules; None where this one runs by itself.
_schedules: list[Dependents] = []


def register_schedules(dependents: Dependents) -> None:
    """Register who keeps the schedules of bots; a reload replaces it."""
    _schedules[:] = [dependents]


def schedules() -> Dependents | None:
    """Return who keeps the schedules of bots."""
    return _schedules[0] if _schedules else None
