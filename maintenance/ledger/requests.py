"""Requests runs. Every caller (tick, admin, command, API) uses ``request_run``; ``performing`` does the work.

The row is what counts; the Celery message only says "look at run 17". A message that is lost, late or sent twice does
no harm.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import transaction
from django.utils.timezone import get_default_timezone
from django_celery_beat.models import PeriodicTask

import maintenance.jobs  # noqa: F401  (declares the jobs)
from database import clock
from database.messages import gettext as _
from maintenance.ledger import decisions
from maintenance.ledger.dispatch import publish
from maintenance.models import JobRun, MaintenanceMode, PlannedWindow, ScheduleControl
from maintenance.models.groups import group_title
from maintenance.models.statuses import FAILURES
from maintenance.registry import InvalidParams, Job, JobsPaused, Person, get_job


def request_run(
    *,
    job: str,
    trigger: str,
    by: Person | None = None,
    dry_run: bool = False,
    params: Mapping[str, Any] | None = None,
    shown: Mapping[str, Any] | None = None,
    force_reason: str = "",
    reason: str = "",
    send: bool = True,
    schedule: PeriodicTask | None = None,
) -> JobRun:
    """Create the row of a run, and send its message after the commit.

    Args:
        job: its slug.
        trigger: a JobRun.Trigger.
        by: who requests it; None for the system and for a shell.
        dry_run: plan only.
        params: values by name, checked by the job.
        shown: the plan that they saw (``shown_by_run``, ``mandate.shown``), 15 minutes old at most.
        force_reason: why the run is not to stop at the safety cap; needs the permission to approve.
        reason: why they request it, for the event.
        send: False if the caller performs the run itself.
        schedule: on whose behalf the run starts, outside its slots.

    Raises UnknownJob, InvalidParams, JobsPaused, PermissionDenied.
    """
    declared = get_job(job)
    cleaned = declared.clean(params)
    if by is not None:
        declared.require(by, cleaned)
    if not dry_run:
        refuse_paused(declared)
    mandate = decisions.mandate_asked_for(by=by, shown=shown, force_reason=force_reason)
    with transaction.atomic():
        run = JobRun.objects.create(
            job=job,
            trigger=trigger,
            **_on_behalf_of(by, schedule),
            dry_run=dry_run,
            params=cleaned,
            mandate=mandate.as_json() if mandate else None,
            concurrency_key="" if dry_run else declared.concurrency_key(cleaned),
        )
        decisions.record_request(run, by=by, shown=shown, reason=reason)
        if send:
            transaction.on_commit(lambda: publish(run))
    return run


def _on_behalf_of(by: Person | None, schedule: PeriodicTask | None) -> dict[str, Any]:
    return {
        "requested_by": by if isinstance(by, User) else None,
        "requested_by_name": by.get_username() if by else "",
        "schedule": schedule,
        "schedule_name": schedule.name if schedule else "",
    }


def refuse_paused(job: Job) -> None:
    """Raise JobsPaused, with the reason and the end, while the job's group is paused, by a switch or a planned window."""
    if not job.group:
        return
    pauses = MaintenanceMode.objects.on().filter(scope=job.group).values_list("until", "reason")
    found = pauses.first() or _open_window(job.group)
    if found is None:
        return
    until, reason = found
    text = (
        _("Jobs of the group “%(group)s” are paused until %(until)s: %(reason)s")
        if until
        else _("Jobs of the group “%(group)s” are paused until somebody resumes them: %(reason)s")
    )
    zone = get_default_timezone()
    told = {
        "group": group_title(job.group),
        "until": f"{until.astimezone(zone):%Y-%m-%d %H:%M} {zone}" if until else "",
        "reason": reason,
    }
    raise JobsPaused({NON_FIELD_ERRORS: text % told})


def _open_window(group: str) -> tuple[datetime, str] | None:
    """Return the end and the reason of a window of this group that is open now; of several the one that ends last."""
    now = clock.now()
    windows = PlannedWindow.objects.planned().filter(scope=group).order_by("pk")
    open_now = [(span[1], row.reason) for row in windows if (span := row.occurrence_at(now)) is not None]
    return max(open_now, default=None)


def slot_run(*, schedule: PeriodicTask, job: Job, slot: datetime) -> JobRun:
    """Return the (unsaved) run of one slot: QUEUED, or FAILED where the schedule's parameters cannot be used."""
    now = clock.now()
    run = JobRun(
        job=job.slug,
        trigger=JobRun.Trigger.SCHEDULE,
        schedule=schedule,
        schedule_name=schedule.name,
        scheduled_for=slot,
        queued_at=now,
        retries=schedule.control.retries,
        time_limit_seconds=schedule.control.time_limit_seconds,
    )
    try:
        run.params = job.clean_stored(schedule.kwargs)
    except InvalidParams as error:
        run.status, run.finished_at = JobRun.Status.FAILED, now
        run.error = _("The schedule's parameters cannot be used: %(error)s") % {"error": error.text}
    else:
        run.concurrency_key = job.concurrency_key(run.params)
    return run


class Overlaps:
    """The runs that overlap with new ones: those open in the ledger, and those added since."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._open: dict[str, list[JobRun]] = {}
        in_the_way = JobRun.objects.open().filter(concurrency_key__in={*keys} - {""}, dry_run=False)
        # A run that waits for its retry has ended once: no slot is skipped because of it.
        in_the_way = in_the_way.exclude(
            status=JobRun.Status.QUEUED, retry_of__status__in=FAILURES, not_before__gt=clock.now()
        )
        # A run that waits for a person does not count: a newer run supersedes it.
        in_the_way = in_the_way.exclude(status=JobRun.Status.BLOCKED)
        for run in in_the_way.only("pk", "status", "concurrency_key", "params").order_by("pk"):
            self._open.setdefault(run.concurrency_key, []).append(run)

    def add(self, run: JobRun, policy: str) -> None:
        """Apply the overlap policy to a QUEUED unsaved run: SKIPPED if it overlaps with an earlier one.

        An earlier run with other parameters does other work: the new run waits for it.
        """
        open_ones = self._open.setdefault(run.concurrency_key, []) if run.concurrency_key else []
        earlier = [one for one in open_ones if one.params == run.params]
        if policy == ScheduleControl.OverlapPolicy.QUEUE_ONE:
            earlier = [one for one in earlier if one.status == JobRun.Status.QUEUED]
        if earlier:
            run.status, run.reason = JobRun.Status.SKIPPED, JobRun.Reason.OVERLAP
            run.finished_at = run.queued_at
            run.message = (
                _("Run #%(id)s was not finished.") % {"id": earlier[0].pk}
                if earlier[0].pk
                else _("An earlier run was not finished.")
            )
        else:
            self.add_unconditionally(run)

    def add_unconditionally(self, run: JobRun) -> None:
        """Let the run wait for its turn; later runs overlap with it."""
        self._open.setdefault(run.concurrency_key, []).append(run)


def request_next_attempt(run: JobRun, *, not_before: datetime | None = None) -> JobRun:
    """Create the attempt that resumes an interrupted run from its cursor; there is at most one."""
    # Read the row again: deleting its schedule or person during the run sets its keys to null, and a batch that was
    # rolled back has left its cursor in this process's memory.
    run.refresh_from_db(fields=["schedule", "requested_by", "cursor", "plan"])
    attempt, created = JobRun.objects.get_or_create(
        retry_of=run,
        defaults={
            "job": run.job,
            "trigger": JobRun.Trigger.RETRY,
            "requested_by": run.requested_by,
            "requested_by_name": run.requested_by_name,
            "schedule": run.schedule,
            "schedule_name": run.schedule_name,
            "scheduled_for": run.scheduled_for,
            "dry_run": run.dry_run,
            "params": run.params,
            "concurrency_key": run.concurrency_key,
            "cursor": run.cursor,
            "plan": run.plan,
            "mandate": run.mandate,
            "waiting_since": run.waiting_since,
            "retries": run.retries,
            "time_limit_seconds": run.time_limit_seconds,
            "attempt": run.attempt + 1,
            "not_before": not_before,
        },
    )
    if created:
        transaction.on_commit(lambda: publish(attempt))
    return attempt
