"""Pauses schedules whose runs fail again and again: those that are told to, after their number of failures in a row."""

import logging
from itertools import takewhile

from django.db import InterfaceError, OperationalError

from database.messages import ngettext
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits
from maintenance.scheduling.schedules import control_of

logger = logging.getLogger(__name__)

# A look reads the keys of this many failed runs, the newest ones, however many schedules there are.
LOOKED_AT = 500
# A run that did a part of its work is no failure here: one closed subreddit would stop all scraping.
ENDS = (JobRun.Status.SUCCEEDED, JobRun.Status.PARTIAL, JobRun.Status.FAILED)


def failures_in_a_row(control: ScheduleControl, *, up_to: int) -> int:
    """Return how many of the schedule's latest runs failed in a row, since it was last resumed; ``up_to`` at most.

    A run counts when it has ended and gets no other attempt. Runs that were cancelled, skipped or missed, and dry runs,
    neither count nor interrupt the row.
    """
    ended = JobRun.objects.filter(
        schedule_id=control.pk, dry_run=False, status__in=ENDS, next_attempt__isnull=True
    )
    if control.failures_counted_from is not None:
        ended = ended.filter(finished_at__gt=control.failures_counted_from)
    latest = ended.order_by("-finished_at", "-id").values_list("status", flat=True)[:up_to]
    return len(list(takewhile(lambda status: status == JobRun.Status.FAILED, latest)))


def pause_failing() -> int:
    """Pause the schedules whose latest runs failed as often in a row as they allow; return how many were paused.

    The leading scheduler calls it every few seconds. Several may call it at once: a schedule is paused once.
    """
    watched = ScheduleControl.objects.filter(pause_after_failures__isnull=False, schedule__enabled=True)
    numbers = set(watched.values_list("pk", flat=True))
    if not numbers:
        return 0
    failed = JobRun.objects.filter(status=JobRun.Status.FAILED).order_by("-id")
    suspects = numbers.intersection(failed.values_list("schedule_id", flat=True)[:LOOKED_AT])
    return sum(_pause(pk) for pk in sorted(suspects))


def _pause(pk: int) -> bool:
    control = ScheduleControl.objects.select_related("schedule").filter(pk=pk).first()
    if control is None or not _reason(control):  # without a lock: usually there is no reason
        return False
    try:
        is_paused = edits.pause_if(control.schedule, lambda task: _reason(control_of(task)))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("%s could not be paused.", control)
        return False
    if is_paused:
        logger.warning("%s has paused itself: %s", control, control.schedule.control.pause_reason)
    return is_paused


def _reason(control: ScheduleControl) -> str:
    """Return why the schedule is to be paused; empty: it is not."""
    allowed = control.pause_after_failures
    if allowed is None or failures_in_a_row(control, up_to=allowed) < allowed:
        return ""
    text = ngettext("%(number)s run failed.", "%(number)s runs in a row failed.", allowed)
    return text % {"number": allowed}
