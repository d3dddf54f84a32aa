"""The states of a run, its triggers, and the reasons why it ended: one list of each for all code."""

from typing import Final

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """The states of a run; ``JobRun`` shows the transitions between them."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    PARTIAL = "partial", _("partial")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    INTERRUPTED = "interrupted", _("interrupted")
    SKIPPED = "skipped", _("skipped")
    MISSED = "missed", _("missed")
    BLOCKED = "blocked", _("blocked")

    @property
    def meaning(self) -> str:
        """One sentence that tells this state from the others."""
        return str(_MEANINGS[self])


_MEANINGS: dict[Status, Promise] = {
    Status.QUEUED: _("It waits for a worker, or for another attempt."),
    Status.RUNNING: _("A worker performs it."),
    Status.SUCCEEDED: _("It did all that it was to do."),
    Status.PARTIAL: _("It ended, and left something undone; its page says what."),
    Status.FAILED: _("It ended with an error."),
    Status.CANCELLED: _("A person stopped it; what was done until then stays done."),
    Status.INTERRUPTED: _("Its worker was lost or stopped; another attempt goes on."),
    Status.SKIPPED: _("It was left out on purpose: a pause, or a run of the job that was not finished."),
    Status.MISSED: _(
        "Its slot passed without a run: no scheduler ticked then, or the schedule was changed first."
    ),
    Status.BLOCKED: _("It would delete more than it may: a person must approve or reject it."),
}


class Trigger(models.TextChoices):
    """What requested a run."""

    SCHEDULE = "schedule", _("schedule")
    ADMIN = "admin", _("admin")
    COMMAND = "command", _("command")
    API = "api", _("API")
    RETRY = "retry", _("retry")


class Reason(models.TextChoices):
    """Why a run ended before, or without, doing its work."""

    NONE = "", _("none")
    OVERLAP = "overlap", _("an earlier run was not finished")
    PAUSED = "paused", _("paused")
    NO_SCHEDULER = "no_scheduler", _("no scheduler ticked")
    EDITED = "edited", _("the schedule was changed first")
    UNKNOWN_JOB = "unknown_job", _("no worker knows the job")
    WAITS = "waits", _("it goes on later")
    WORKER_STOPPED = "worker_stopped", _("the worker was stopped")
    RETENTION = "retention", _("the retention was changed")
    WORKER_LOST = "worker_lost", _("the worker was lost")
    TERMINATED = "terminated", _("its process was told to exit")
    HANDED_ON = "handed_on", _("it goes on as its next attempt")
    TIME_LIMIT = "time_limit", _("it took longer than its time limit")
    DATABASE = "database", _("the database reported an error")
    # database.errors.Cause
    DATABASE_FULL = "database_full", _("the database has no room left")
    DATABASE_LOCKED = "database_locked", _("the database did not grant a lock")
    DATABASE_TIMEOUT = "database_timeout", _("the database gave up a statement that took too long")
    DATABASE_READ_ONLY = "database_read_only", _("the database took no writes")
    DATABASE_OVERLOADED = "database_overloaded", _("the database was overloaded")
    DATABASE_LOST = "database_lost", _("the database did not answer")
    TOO_MANY_ATTEMPTS = "too_many_attempts", _("too many attempts")
    OPERATOR = "operator", _("an operator cancelled it")
    SUPERSEDED = "superseded", _("superseded by a newer run")


# The states without an end: waiting for a worker, running, or waiting for a person.
OPEN: Final = (Status.QUEUED, Status.RUNNING, Status.BLOCKED)
# The final states: such a run never changes again, and only such runs have an end (``finished_at``).
FINAL: Final = tuple(status for status in Status if status not in OPEN)
# The run did its work, or some of it.
WORKED: Final = (Status.SUCCEEDED, Status.PARTIAL)
# Some of the work was not done, for a cause that somebody should look at.
FAILURES: Final = (Status.FAILED, Status.PARTIAL)
