"""How a job function is ended early: by one of these exceptions."""

from datetime import datetime


class StopRun(BaseException):
    """The run must stop now. Not an Exception, so that no job swallows it by ``except Exception``."""


class CancelRun(StopRun):
    """An operator cancelled the run."""


class HandBack(StopRun):
    """Save the cursor, another attempt goes on: now, or after ``until``; ``reason`` is a JobRun.Reason."""

    def __init__(self, reason: str, *, until: datetime | None = None) -> None:
        super().__init__(reason)
        self.reason, self.until = reason, until


class LostClaim(StopRun):
    """Recovery gave the run to somebody else: write nothing more."""


class BlockRun(StopRun):
    """The safety cap was reached; a person must approve."""


class SkipRun(StopRun):
    """There is nothing this run may do now."""


class JobFailed(Exception):
    """The job could not do its work, and the message says why; no traceback is kept.

    ``is_transient``: what was in the way may be gone soon, so that the job is tried again as it declares.
    """

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
