"""The scheduler that celery beat runs: several may be started, one ticks, every slot makes one run.

A tick, under the lease: in one transaction check the fence, insert the run of each due slot (unique by
schedule and slot) and move the schedule's ``last_slot_at``; after the commit send the messages. What dies
in between is found again: a slot by ``last_slot_at``, a message by ``recovery``.
"""

import heapq
import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction
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


@dataclass(frozen=True)
class DueSlots:
    """What is done about the due slots of one schedule; each list ascending."""

    missed: list[datetime]
    made_up: list[datetime]
    in_time: list[datetime]

    @property
    def run(self) -> list[datetime]:
        """The slots that get a run."""
        return self.made_up + self.in_time


def sort_due_slots(due: list[datetime], *, now: datetime, control: ScheduleControl) -> DueSlots:
    """Part the due slots into those missed, those made up by the misfire policy, and those in time."""
    late = [slot for slot in due if (now - slot).total_seconds() > MISFIRE_SECONDS]
    in_time = due[len(late) :]
    number = 0
    if control.misfire_policy == ScheduleControl.MisfirePolicy.RUN_ONCE:
        number = 0 if in_time else 1
    elif control.misfire_policy == ScheduleControl.MisfirePolicy.RUN_ALL:
        number = control.misfire_limit
    split = max(0, len(late) - number)
    return DueSlots(missed=late[:split], made_up=late[split:], in_time=in_time)


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
            try:
                logger.info("%s", _line(job))
            except Exception:  # a listing must not keep the scheduler from starting
                logger.exception("%s: its schedule cannot be read", job.slug)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Do what is due; return the seconds until the next look."""
        try:
            close_old_connections()
            was_leader = self._lease.is_held
            if not self._lease.acquire():
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
        except Error:
            logger.exception("The tick failed in the database and was undone; trying again.")
            connection.close()
            return 1.0
        return self._seconds_to_next()

    def sync(self) -> None:
        """Do nothing: each tick has written what it did."""

    def close(self) -> None:
        """Release the lease, so that a standby takes over at once."""
        try:
            self._lease.release()
        except Error:
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
        # Enabling one of these again, by whatever door, is an edit.
        idle = ScheduleControl.objects.filter(schedule__enabled=False).exclude(timing="")
        idle.update(timing="")
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
        except Exception:  # one schedule that cannot be computed must not stop the others
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
        except (Error, LeaseLost):
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
        try:
            with transaction.atomic():
                self._lease.guard()
                made, foreign = self._write_slots(due, now)
        except BaseException:
            self._seen_change = None  # what the copies in memory say was rolled back: read the rows again
            raise
        for task in due:
            if task.enabled:
                self._push(task)
        for run in made:
            if not runs.publish(run):
                break  # the broker is away: recovery sends them when it is back
        for task in foreign:
            self._send_foreign(task)

    def _write_slots(self, due: list[PeriodicTask], now: datetime) -> tuple[list[JobRun], list[PeriodicTask]]:
        """Write what is due; return the queued runs, and the schedules of tasks that are not ours."""
        made: list[JobRun] = []
        foreign: list[PeriodicTask] = []
        for task in due:
            slots = self._settle(task, now)
            job = job_of_task(task.task)
            if job is None:
                foreign += [task] if slots.run else []
            else:
                made += _write_down(task, job, slots)
        return [run for run in made if run.status == JobRun.Status.QUEUED], foreign

    def _send_foreign(self, task: PeriodicTask) -> None:
        try:
            self.apply_async(self.Entry(task, app=self.app), producer=self.producer, advance=False)
        except Exception:
            logger.exception("%s could not be sent; it has no run that could be sent again.", task.name)

    def _settle(self, task: PeriodicTask, now: datetime) -> DueSlots:
        control = task.control
        due = []
        for slot in schedules.fire_times(task, after=_dealt_with(task), until=now):
            due.append(slot)
            if len(due) > 2 * LOOK_BACK_SLOTS:
                del due[:LOOK_BACK_SLOTS]
        if not due:
            return DueSlots(missed=[], made_up=[], in_time=[])
        slots = sort_due_slots(due[:1] if task.one_off else due, now=now, control=control)
        control.last_slot_at = due[-1]
        task.last_run_at, task.total_run_count = now, task.total_run_count + len(slots.run)
        values: dict[str, Any] = {
            "last_run_at": now,
            "total_run_count": F("total_run_count") + len(slots.run),
        }
        if task.one_off and slots.run:
            values["enabled"] = task.enabled = False
            control.timing = ""  # enabling it again is an edit
        # update(), not save(): this is bookkeeping, no edit that beat should notice. And the task before
        # its control, as an edit locks them: the other way round the two could deadlock.
        PeriodicTask.objects.filter(pk=task.pk).update(**values)
        control.save(update_fields=["last_slot_at", "timing"])
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


def _write_down(task: PeriodicTask, job: Job, slots: DueSlots) -> list[JobRun]:
    if slots.missed:
        _write_missed(task, job, slots)
    requested = (
        runs.request_slot(
            schedule=task, control=task.control, job=job, slot=slot, made_up=slot in slots.made_up
        )
        for slot in slots.run
    )
    return [run for run in requested if run is not None]


def _write_missed(task: PeriodicTask, job: Job, slots: DueSlots) -> None:
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
