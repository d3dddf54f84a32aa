"""Decides what follows when an attempt ends before its work is done: another attempt, and when, or none.

The rule is the same for all causes: a stop, a limit, a lost worker, the database. An attempt counts
against the run unless its cursor has moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from database import clock
from database.errors import Cause
from database.messages import gettext as _
from database.messages import joined, message_of
from maintenance.models import JobRun
from maintenance.models.chain import attempts_before
from maintenance.models.statuses import FAILURES

Reason = JobRun.Reason

# The third attempt in a row without progress is the last.
ATTEMPTS_MAX = 3
# How long the next attempt waits after the first and the second one without progress: the cause may be transient.
PAUSES = (timedelta(seconds=5), timedelta(seconds=30))
# These do not count as failures: the run stopped at a checkpoint as told, or it waits for its Reddit app.
# Nor does an earlier attempt that ended by itself and is tried again (retry_at).
BLAMELESS = frozenset({Reason.NONE, Reason.WAITS, Reason.WORKER_STOPPED, Reason.RETENTION})


@dataclass(frozen=True)
class Verdict:
    """The decision about an attempt that has ended."""

    status: str
    reason: str
    error: str
    # When the next attempt may begin; None: at once. There is one if the status is INTERRUPTED.
    not_before: datetime | None = None

    @property
    def goes_on(self) -> bool:
        """Whether there is a next attempt."""
        return self.status == JobRun.Status.INTERRUPTED


def judge(
    run: JobRun,
    *,
    reason: str,
    cursor: Mapping[str, Any] | None,
    error: str = "",
    until: datetime | None = None,
) -> Verdict:
    """Return the verdict about a running run.

    Args:
        run: the attempt that ends.
        reason: what ended it.
        cursor: the committed cursor.
        error: the error text.
        until: the next attempt could do nothing before this moment.
    """
    if is_cancel_requested(run):
        return Verdict(JobRun.Status.CANCELLED, Reason.OPERATOR, error)
    if reason in BLAMELESS:
        return Verdict(JobRun.Status.INTERRUPTED, reason, error, until)
    number = attempts_without_progress(run, reason=reason, cursor=cursor)
    if number >= ATTEMPTS_MAX:
        last = _("That was attempt %(number)s in a row without progress; no other is made.")
        told = joined([error or message_of(Reason(reason).label), last % {"number": number}])
        return Verdict(JobRun.Status.FAILED, Reason.TOO_MANY_ATTEMPTS, told)
    return Verdict(JobRun.Status.INTERRUPTED, reason, error, _not_before(reason, number))


def _not_before(reason: str, number: int) -> datetime | None:
    # An attempt that hands on has done some work; and before a worker counts as lost, enough time has passed.
    if reason == Reason.HANDED_ON or (reason == Reason.WORKER_LOST and number <= 1):
        return None
    return clock.now() + PAUSES[max(number, 1) - 1]


def attempts_without_progress(run: JobRun, *, reason: str, cursor: Mapping[str, Any] | None) -> int:
    """Return how many attempts in a row, this one included, have ended where they began."""
    number = 0
    for earlier in [*attempts_before(run), None]:
        if _place(cursor) != _place(earlier.cursor if earlier else None):
            return number
        number += reason not in BLAMELESS
        if earlier is not None:
            reason, cursor = earlier.reason, earlier.cursor
    return number


def retry_at(run: JobRun, retries: Sequence[timedelta]) -> datetime | None:
    """Return when a run that ends as FAILED or PARTIAL for a transient cause is tried again; None: never.

    Args:
        run: the run, which is still running.
        retries: the delay after each such end.
    """
    used = sum(earlier.status in FAILURES for earlier in attempts_before(run))
    if used >= len(retries) or run.dry_run or is_cancel_requested(run):
        return None
    return clock.now() + retries[used]


def _place(cursor: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (cursor or {}).items() if name != "now"}


def is_cancel_requested(run: JobRun) -> bool:
    """Whether an operator cancelled the run, which then gets no other attempt."""
    return JobRun.objects.filter(pk=run.pk, cancel_requested_at__isnull=False).exists()


def reason_of(cause: Cause | None) -> str:
    """Return the run's reason for a refusal by the database."""
    return Reason(f"database_{cause}") if cause else Reason.DATABASE
