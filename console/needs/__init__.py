"""What needs a person now: a function for each source, in one list."""

from collections.abc import Callable

from console.needs import bots, failures, runs, schedules, services
from console.needs.lines import Action, Line, Recovered
from console.needs.world import World

__all__ = ["SOURCES", "Action", "Line", "Recovered", "World", "lines_for", "recovered_for"]

Source = Callable[[World], list[Line]]

# In the order of the page. Each returns only what the person may see, with the buttons that they may use.
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
)


def lines_for(world: World) -> list[Line]:
    """Return what needs the person."""
    return [line for source in SOURCES for line in source(world)]


def recovered_for(world: World) -> list[Recovered]:
    """Return what failed today and has become well without them."""
    return failures.recovered(world)
