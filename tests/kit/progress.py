"""A progress that tests can read and stop."""

from scraping.progress import SilentProgress


class Stop(BaseException):
    """The exception of a worker that must stop."""


class Recorder(SilentProgress):
    """Records what is reported to it, and stops at a checkpoint."""

    def __init__(self, stop_at: int = 0) -> None:
        self.lines: list[tuple[str, str]] = []
        self.reports: list[tuple[int, int | None, str]] = []
        self.checkpoints = 0
        self._stop_at = stop_at

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        self.reports.append((done, total, stage))

    def log(self, text: str, level: str = "info") -> None:
        self.lines.append((level, text))

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.checkpoints == self._stop_at:
            raise Stop
