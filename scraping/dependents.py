"""Registers objects of higher layers that depend on a bot, such as its schedules.

The pages that delete bots list these objects and offer to delete them too. Django follows foreign keys by itself; this
module is for objects that name a bot in another way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from django.contrib.auth.models import AnonymousUser, User

from scraping.models import BotConfig


@dataclass(frozen=True)
class Dependent:
    """One object that names a bot, as the page shows it."""

    title: str
    address: str


class Dependents(Protocol):
    """One kind of dependent objects."""

    def of(self, bots: Sequence[BotConfig]) -> Sequence[Dependent]:
        """Return the objects that name one of the bots."""
        ...

    def may_see(self, by: User | AnonymousUser) -> bool:
        """Whether the person may see them."""
        ...

    def may_delete(self, by: User | AnonymousUser) -> bool:
        """Whether the person may delete them."""
        ...

    def delete(self, bots: Sequence[BotConfig], *, by: User | AnonymousUser) -> None:
        """Delete the objects that name one of the bots."""
        ...


# The layer that keeps schedules; None if this app runs without it.
_schedules: list[Dependents] = []


def register_schedules(dependents: Dependents) -> None:
    """Register the app that has the schedules of bots; a reload replaces it."""
    _schedules[:] = [dependents]


def schedules() -> Dependents | None:
    """Return the app that has the schedules of bots, or None."""
    return _schedules[0] if _schedules else None
