"""The scheduler that celery beat runs: several may be started, one ticks, every slot makes one run.

A tick, under the lease: in one transaction check the fence, insert the run of each due slot (unique by
schedule and slot) and move the schedule's ``last_slot_at``; after the commit ring for the workers. What dies
in between is found again: a slot by ``last_slot_at``, a message by ``recovery``.
"""

import heapq
import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler

from maintenance import recovery, runs, schedules
from maintenance.lease import Lease, LeaseLost
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import Job, job_of_task, jobs

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
# QuerySet.update() leaves no sign of itself; a full read this often finds it all the same.
FULL_READ_SECONDS = 60.0
# A slot this late was missed: nobody was there to tick it. Below it, it is only late, and runs.
MISFIRE_SECONDS = 60.0
# Slots of one schedule that one look back counts; older ones are left out of the count.
LOOK_BACK_SLOTS = 100_000


@dataclass
class Misfires:
    """What to do about the slots of one schedule that are due."""

    run: list[datetime]
    missed: list[datetime]


def sort_due_slots(due: list[datetime], *, now: datetime, control: ScheduleControl) -> Misfires:
    """Part the due slots into those to run and those missed, by the schedule's misfire policy."""
    late = [slot for slot in due if (now - slot).total_seconds() > MISFIRE_SECONDS]
    in_time = due[len(late) :]
    caught_up = 0
    if control.misfire_policy == ScheduleControl.MisfirePolicy.RUN_ONCE:
        caught_up = 0 if in_time else 1
    elif control.misfire_policy == ScheduleControl.MisfirePolicy.RUN_ALL:
        caught_up = control.misfire_limit
    split = max(0, len(late) - caught_up)
    return Misfires(run=late[split:] + in_time, missed=late[:split])


class LeasedDatabaseScheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat has no types
    """django-celery-beat's scheduler with a lease, slots and the ledger in place of its tick."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lease = Lease(settings.BEAT_LEASE_SECONDS)
        self._tasks: dict[int, PeriodicTask] = {}
        self._due: list[tuple[datetime, int]] = []
        self._seen_change: datetime | None = None
        self._full_read_at = self._sweep_at = 0.0
        super().__init__(*args, **kwargs)

    # --- What celery beat calls --------------------------------------------------------------

    def setup_schedule(self) -> None:
        """Log every job with its schedule and next fire time."""
        for job in jobs():
            logger.info("%s", _line(job))

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Do what is due; return the seconds until the next look."""
        try:
            close_old_connections()
            was_leader = self._lease.is_held
            if not self._lease.hold():
                if was_leader:
                    logger.warning("Another scheduler has the lease; standing by.")
                return self._standby_seconds()
            if not was_leader:
                logger.info("This scheduler holds the lease: %s", self._lease.holder)
                self._seen_change = None
            self._read_schedules()
            self._run_due()
            self._sweep()
        except LeaseLost:
            logger.warning("The lease was lost in the middle of a tick; what it wrote was undone.")
            return self._standby_seconds()
        except DatabaseError:
            logger.exception("The database does not answer; trying again.")
            connection.close()
            return 1.0
        return self._seconds_to_next()

    def sync(self) -> None:
        """Do nothing: each tick has written what it did."""

    def close(self) -> None:
        """Release the lease, so that a standby takes over at once."""
        try:
            self._lease.release()
        except DatabaseError:
            logger.warning("The lease could not be released; it expires by itself.", exc_info=True)

    @property
    def schedule(self) -> dict[str, Any]:
        """Return nothing: celery beat only logs and counts it; the rows are the schedule."""
        return {}

    # --- Reading -----------------------------------------------------------------------------

    def _read_schedules(self) -> None:
        changed = PeriodicTasks.last_change()
        stale = time.monotonic() - self._full_read_at >= FULL_READ_SECONDS
        if changed == self._seen_change and self._seen_change is not None and not stale:
            return
        rows = PeriodicTask.objects.filter(enabled=True).select_related(
            "crontab", "interval", "clocked", "solar", "control"
        )
        self._tasks = {task.pk: task for task in rows}
        self._due = []
        for task in self._tasks.values():
            schedules.note_timing(task)
            self._push(task)
        self._seen_change, self._full_read_at = changed, time.monotonic()

    def _push(self, task: PeriodicTask) -> None:
        try:
            slot = next(schedules.fire_times(task, after=_dealt_with(task)), None)
        except ValueError:
            logger.exception("%s cannot fire: its schedule is invalid.", task.name)
            return
        if slot is not None:
            heapq.heappush(self._due, (slot, task.pk))

    def _sweep(self) -> None:
        if time.monotonic() - self._sweep_at < SWEEP_SECONDS:
            return
        self._sweep_at = time.monotonic()
        try:
            recovery.sweep()
        except (DatabaseError, LeaseLost):
            raise
        except Exception:
            logger.exception("Recovery failed; the schedules go on.")

    # --- Ticking -----------------------------------------------------------------------------

    def _run_due(self) -> None:
        now = timezone.now()
        due = []
        while self._due and self._due[0][0] <= now:
            due.append(self._tasks[heapq.heappop(self._due)[1]])
        if not due:
            return
        made: list[JobRun] = []
        foreign: list[PeriodicTask] = []
        try:
            with transaction.atomic():
                self._lease.guard()
                for task in due:
                    job = job_of_task(task.task)
                    slots = self._settle(task, now)
                    if job is None:
                        foreign += [task] if slots.run else []
                    else:
                        made += _write_down(task, job, slots)
        except BaseException:
            self._seen_change = None  # what the copies in memory say was rolled back: read the rows again
            raise
        for task in due:
            self._push(task)
        for run in made:
            if run.status == JobRun.Status.QUEUED:
                runs.ring(run)
        for task in foreign:
            self.apply_async(self.Entry(task, app=self.app), producer=self.producer, advance=False)

    def _settle(self, task: PeriodicTask, now: datetime) -> Misfires:
        control = task.control
        due = []
        for slot in schedules.fire_times(task, after=_dealt_with(task), until=now):
            due.append(slot)
            if len(due) > 2 * LOOK_BACK_SLOTS:
                del due[:LOOK_BACK_SLOTS]
        if not due:
            return Misfires(run=[], missed=[])
        slots = sort_due_slots(due, now=now, control=control)
        if task.one_off:
            slots.run = slots.run[:1]
        control.last_slot_at = due[-1]
        control.save(update_fields=["last_slot_at"])
        task.last_run_at, task.total_run_count = now, task.total_run_count + len(slots.run)
        values: dict[str, Any] = {
            "last_run_at": now,
            "total_run_count": F("total_run_count") + len(slots.run),
        }
        if task.one_off and slots.run:
            values["enabled"] = task.enabled = False
        # update(), not save(): this is bookkeeping, no edit that beat should notice.
        PeriodicTask.objects.filter(pk=task.pk).update(**values)
        return slots

    def _seconds_to_next(self) -> float:
        longest = min(self.max_interval, self._lease.seconds / 3)
        if not self._due:
            return float(longest)
        return float(min(longest, max(0.0, (self._due[0][0] - timezone.now()).total_seconds())))

    def _standby_seconds(self) -> float:
        return float(min(self.max_interval, self._lease.seconds / 4))


def _dealt_with(task: PeriodicTask) -> datetime:
    """Return the moment up to which no slot is owed any more."""
    control: ScheduleControl = task.control
    if control.last_slot_at is None:
        return control.effective_from
    return max(control.last_slot_at, control.effective_from)


def _write_down(task: PeriodicTask, job: Job, slots: Misfires) -> list[JobRun]:
    if slots.missed:
        _write_missed(task, job, slots)
    requested = (
        runs.request_slot(schedule=task, control=task.control, job=job, slot=slot) for slot in slots.run
    )
    return [run for run in requested if run is not None]


def _write_missed(task: PeriodicTask, job: Job, slots: Misfires) -> None:
    """One row for all missed slots of a schedule: it stands on the last of them."""
    first, last = slots.missed[0], slots.missed[-1]
    zone = schedules.zone_of(task)
    number = len(slots.missed)
    span = f"{first.astimezone(zone):%Y-%m-%d %H:%M}"
    if number > 1:
        span = _("%(first)s to %(last)s") % {"first": span, "last": f"{last.astimezone(zone):%Y-%m-%d %H:%M}"}
    JobRun.objects.bulk_create(
        [
            JobRun(
                job=job.slug,
                trigger=JobRun.Trigger.SCHEDULE,
                status=JobRun.Status.MISSED,
                reason=JobRun.Reason.NO_SCHEDULER,
                schedule=task,
                schedule_name=task.name,
                scheduled_for=last,
                finished_at=timezone.now(),
                counts={"slots_missed": number},
                message=ngettext(
                    "%(number)s slot passed while no scheduler was alive: %(span)s.",
                    "%(number)s slots passed while no scheduler was alive: %(span)s.",
                    number,
                )
                % {"number": number, "span": f"{span} {zone}"},
            )
        ],
        ignore_conflicts=True,
    )


def _line(job: Job) -> str:
    task = schedules.for_job(job.slug)
    if task is None:
        return f"{job.slug}: on demand"
    if not task.enabled:
        return f"{job.slug}: paused ({schedules.control_of(task).pause_reason or 'no reason given'})"
    fire = schedules.next_fire(task)
    at = f"next {fire.astimezone(schedules.zone_of(task)):%Y-%m-%d %H:%M:%S %Z}" if fire else "never fires"
    return f"{job.slug}: {schedules.crontab_of(task) or task.scheduler} ({schedules.describe(task, 'en')}; {schedules.zone_of(task)}), {at}"
