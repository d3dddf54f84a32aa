"""The progress interface that callers pass to the long-running functions of this app."""

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of the work, and may stop it.

    ``report`` and ``log`` are called often: the implementation limits how often it writes, and how much.
    """

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Note that ``done`` of ``total`` items are done; ``stage`` names the current step."""

    def log(self, text: str, level: str = "info") -> None:
        """Write one log line; ``level`` is info, warning or error."""

    def checkpoint(self) -> None:
        """Called between pages and batches, where a stop loses nothing.

        Raises:
            BaseException: the work must stop. It is no ``Exception``, so that no handler swallows a stop.
        """


class SilentProgress:
    """A progress that does nothing, for shells and tests."""

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Do nothing."""

    def log(self, text: str, level: str = "info") -> None:
        """Do nothing."""

    def checkpoint(self) -> None:
        """Never stop."""
