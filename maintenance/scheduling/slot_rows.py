"""The rows of slots that do not run: missed, skipped, failed. One row for several slots has the last one's time."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import ngettext_lazy
from django_celery_beat.models import PeriodicTask

from database import clock
from database.messages import gettext as _
from database.messages import joined, ngettext
from maintenance.models import JobRun
from maintenance.scheduling.targets import no_such_job
from maintenance.scheduling.timing import Timing

# Rows of earlier releases have this text, so it stays translated. A scheduler may live and not reach the database.
FORMER_TEXT = ngettext_lazy(
    "%(number)s slot passed while no scheduler was alive: %(span)s.",
    "%(number)s slots passed while no scheduler was alive: %(span)s.",
    "number",
)


def edited_row(
    task: PeriodicTask,
    slug: str,
    due: list[datetime],
    *,
    timing: Timing,
    cut_at: datetime | None,
    had_passed: bool = False,
) -> JobRun:
    """Return the (unsaved) row for slots that an edit left without a run.

    ``had_passed``: the edit itself created them, in the past; otherwise they were waiting for their tick.
    """
    passed = ngettext(
        "%(number)s slot had passed when the schedule was saved: %(span)s.",
        "%(number)s slots had passed when the schedule was saved: %(span)s.",
        len(due),
    )
    waited = ngettext(
        "%(number)s slot had not been ticked when the schedule was changed: %(span)s.",
        "%(number)s slots had not been ticked when the schedule was changed: %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        passed if had_passed else waited,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.MISSED,
        reason=JobRun.Reason.EDITED,
    )


def no_job_run(task: PeriodicTask, slug: str, slot: datetime) -> JobRun:
    """Return the (unsaved) FAILED run of a slot that no worker can perform."""
    now = clock.now()
    return JobRun(
        job=slug,
        trigger=JobRun.Trigger.SCHEDULE,
        status=JobRun.Status.FAILED,
        reason=JobRun.Reason.UNKNOWN_JOB,
        schedule=task,
        schedule_name=task.name,
        scheduled_for=slot,
        queued_at=now,
        finished_at=now,
        error=no_such_job(task),
    )


def missed_row(
    task: PeriodicTask, slug: str, due: list[datetime], *, timing: Timing, cut_at: datetime | None = None
) -> JobRun:
    """Return the (unsaved) row for slots that passed while no scheduler ticked: one for all of them."""
    text = ngettext(
        "%(number)s slot passed while no scheduler ticked: %(span)s.",
        "%(number)s slots passed while no scheduler ticked: %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        text,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.MISSED,
        reason=JobRun.Reason.NO_SCHEDULER,
    )


def paused_row(
    task: PeriodicTask,
    slug: str,
    due: list[datetime],
    *,
    timing: Timing,
    why: str,
    cut_at: datetime | None = None,
) -> JobRun:
    """Return the (unsaved) row for slots that passed during a pause: one for all of them."""
    text = ngettext(
        "%(number)s slot passed during a pause (%(why)s): %(span)s.",
        "%(number)s slots passed during a pause (%(why)s): %(span)s.",
        len(due),
    )
    return _row(
        task,
        slug,
        due,
        text,
        timing=timing,
        cut_at=cut_at,
        status=JobRun.Status.SKIPPED,
        reason=JobRun.Reason.PAUSED,
        why=why,
    )


def _row(
    task: PeriodicTask,
    slug: str,
    due: list[datetime],
    text: str,
    *,
    timing: Timing,
    cut_at: datetime | None,
    status: str,
    reason: str,
    why: str = "",
) -> JobRun:
    """Return the row for several slots; its slot is the last of them."""
    number = len(due)
    told = text % {"number": number, "why": why, "span": _span(due, timing)}
    count = "slots_missed" if status == JobRun.Status.MISSED else "slots_skipped"
    return JobRun(
        job=slug,
        trigger=JobRun.Trigger.SCHEDULE,
        status=status,
        reason=reason,
        schedule=task,
        schedule_name=task.name,
        scheduled_for=due[-1],
        finished_at=clock.now(),
        counts={count: number},
        message=joined([told, _("Older ones are not counted.")]) if due[0] == cut_at else told,
    )


def _span(due: list[datetime], timing: Timing) -> str:
    """Return "first to last"; if the limit of slots was reached, older ones may exist."""
    zone = timing.zone_info
    first, last = (f"{slot.astimezone(zone):%Y-%m-%d %H:%M}" for slot in (due[0], due[-1]))
    if len(due) == 1:
        return f"{first} {zone}"
    return _("%(first)s to %(last)s") % {"first": first, "last": f"{last} {zone}"}


def without_those_that_have_a_row(rows: Iterable[JobRun]) -> list[JobRun]:
    """Return the unsaved rows whose slot has no row yet: a tick that was lost after its commit is repeated."""
    wanted = list(rows)
    taken = set(
        JobRun.objects.filter(
            trigger=JobRun.Trigger.SCHEDULE,
            schedule_id__in={row.schedule_id for row in wanted},
            scheduled_for__in={row.scheduled_for for row in wanted},
        ).values_list("schedule_id", "scheduled_for")
    )
    return [row for row in wanted if (row.schedule_id, row.scheduled_for) not in taken]
