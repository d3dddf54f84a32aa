"""The list "Needs you": everything that needs a person now, with one function for each source."""

from collections.abc import Callable

from console.needs import alerts, bots, failures, runs, schedules, services
from console.needs.lines import Action, Line, Muted, Recovered
from console.needs.world import World

__all__ = [
    "SOURCES",
    "Action",
    "Line",
    "Muted",
    "Recovered",
    "World",
    "lines_for",
    "muted_for",
    "recovered_for",
]

Source = Callable[[World], list[Line]]

# In the order of the page. Each source returns only what the person may see, with the buttons that they may use.
SOURCES: tuple[Source, ...] = (
    services.scheduler,
    services.workers,
    runs.blocked,
    failures.failing,
    runs.stalled,
    schedules.broken,
    runs.missed,
    bots.stopped,
    bots.set_aside,
    alerts.open_alerts,
    alerts.not_delivered,
)


def lines_for(world: World) -> list[Line]:
    """Return the lines that need this person."""
    return [line for source in SOURCES for line in source(world)]


def muted_for(world: World) -> list[Muted]:
    """Return the open alerts that somebody has muted; of failures, no line says them."""
    return alerts.muted(world)


def recovered_for(world: World) -> list[Recovered]:
    """Return today's failures that recovered without a person."""
    return failures.recovered(world)
