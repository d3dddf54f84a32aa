"""The exceptions that end a job function early."""

from datetime import datetime


class StopRun(BaseException):
    """The run must stop now. Not an Exception, so that ``except Exception`` in a job does not catch it."""


class CancelRun(StopRun):
    """An operator cancelled the run."""


class HandBack(StopRun):
    """Save the cursor; another attempt continues now, or after ``until``; ``reason`` is a JobRun.Reason."""

    def __init__(self, reason: str, *, until: datetime | None = None) -> None:
        super().__init__(reason)
        self.reason, self.until = reason, until


class LostClaim(StopRun):
    """Recovery has given the run to another process: write nothing more."""


class BlockRun(StopRun):
    """The safety cap was reached; a person must approve."""


class SkipRun(StopRun):
    """There is nothing that this run may do now."""


class JobFailed(Exception):
    """The job could not do its work; the message says why, and no traceback is stored.

    ``is_transient``: the cause may pass soon, so the job is tried again as it declares.
    """

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
