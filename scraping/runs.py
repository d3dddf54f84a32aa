"""The interface to runs, which a higher layer keeps; that layer registers its implementation here.

The key of that layer's table is ``settings.RUN_MODEL``, as Django's own ``AUTH_USER_MODEL`` is.
"""

from typing import Any, Protocol

from django.db.models import QuerySet


class Runs(Protocol):
    """The app that has the runs."""

    def running(self) -> QuerySet[Any]:
        """Return the runs that are running now."""
        ...

    def run_page(self, run_id: int) -> str:
        """Return the address of a run's page."""
        ...

    def scrape_page(self, config_id: int, subreddit: str = "") -> str:
        """Return the address of the page that starts a scrape of a bot, or of one of its subreddits."""
        ...


# One entry after the registration.
_runs: list[Runs] = []


def register_runs(runs: Runs) -> None:
    """Register the app that has the runs; a reload replaces it."""
    _runs[:] = [runs]


def runs() -> Runs:
    """Return the app that has the runs."""
    if not _runs:
        raise RuntimeError("No runs are registered: call register_runs() in an app's ready().")
    return _runs[0]
