"""The scheduler that celery beat runs: several may be started, only one ticks, and every slot makes one run.

A tick, under the lease: find the schedules whose next slot has come; in one transaction check the fencing token, lock
them, and write the runs of their slots (unique by schedule and slot) and up to when each is settled; after the commit
send the messages. After a crash in between, ``last_slot_at`` tells which slots are due, ``recovery`` sends messages.

No schedule is kept in memory: a tick takes as long with ten schedules as with ten thousand, and sees every edit.
"""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from celery.beat import SchedulingError
from django.conf import settings
from django.db import (
    Error,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from django.db.models import Q
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from adminkit.moments import with_zone
from database.errors import cause_of, first_line
from maintenance.ledger import dispatch, publishing
from maintenance.models import ScheduleControl
from maintenance.registry import TASK_PREFIX, Job, jobs
from maintenance.scheduling import maintenance_mode, recovery, replanning, schedules, slots
from maintenance.scheduling.lease import Lease, LeaseLost
from maintenance.scheduling.targets import ignored_fields
from maintenance.scheduling.tick_batch import TickBatch

logger = logging.getLogger(__name__)

# Seconds between two sweeps of recovery and the audit.
SWEEP_SECONDS = 2.0
# If a slot comes sooner than this, the sweep runs after it.
SWEEP_TAKES_SECONDS = 0.2
# Schedules settled in one transaction: the first message waits for the last of them.
BATCH = 200
# Transactions of one tick.
ROUNDS = 20
# QuerySet.update(), a restored backup and a clock that was set back send no signal. Each sweep checks this many
# schedules, so 10,000 of them within seven minutes.
AUDITED = 50
# Between two audits of all schedules.
AUDIT_SECONDS = 60.0

# A due schedule that somebody is editing is tried again after this time.
LOCKED_SECONDS = 0.1

RELATED = ("crontab", "interval", "clocked", "solar", "control")


class LeasedDatabaseScheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat has no types
    """django-celery-beat's scheduler; its tick is replaced by one with a lease, slots and the ledger."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lease = Lease(settings.BEAT_LEASE_SECONDS)
        self._sweep_at = self._audit_at = self._judge_at = float("-inf")
        self._audited_until = 0
        # While schedules are put back after a clock change: the moment of the change, and the last schedule put back.
        self._set_back_at: datetime | None = None
        self._put_back_until = 0
        super().__init__(*args, **kwargs)

    # --- What celery beat calls --------------------------------------------------------------

    def setup_schedule(self) -> None:
        """Log every job with its schedule and next fire time, and warn of settings that have no effect."""
        try:
            for job in jobs():
                logger.info("%s", _line_or_fault(job))
            self._warn_of_ignored()
        except (
            Error
        ) as error:  # a database that is away, or not migrated, must not keep the scheduler from starting
            logger.warning("The schedules cannot be read yet; trying again. %s", first_line(error))
            connection.close()

    def _warn_of_ignored(self) -> None:
        # add_periodic_task() writes into beat_schedule too.
        for name, entry in (self.app.conf.beat_schedule or {}).items():
            logger.warning(
                "%s (%s) is ignored: beat_schedule and add_periodic_task() have no effect here, as they would"
                " undo what operators edit. Declare a job with @job, or add a schedule in the console.",
                name,
                entry.get("task") if isinstance(entry, dict) else entry,
            )
        for task in PeriodicTask.objects.filter(task__startswith=TASK_PREFIX).order_by("pk").iterator():
            if ignored := ignored_fields(task):
                logger.warning(
                    "%s: %s have no effect on a job of this console; empty them.",
                    task.name,
                    ", ".join(ignored),
                )

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
                self._audit_at, self._audited_until = float("-inf"), 0
            began = time.monotonic()
            self._put_back_after_the_clock()
            wait = self._run_due()
            self._sweep(free_seconds=wait)
            return max(0.0, wait - (time.monotonic() - began))
        except LeaseLost:
            logger.warning("The lease was lost in the middle of a tick; what it wrote was undone.")
            return self._standby_seconds()
        except Error as error:
            text = "The tick failed in the database and was undone; trying again. %s"
            # Where it is only away, a stack trace each second would say no more.
            logger.error(text, first_line(error), exc_info=cause_of(error) is None)
            if not connection.is_usable():
                # The workers' heartbeats could not be written either: they need a moment.
                self._judge_at = time.monotonic() + 2 * settings.HEARTBEAT_SECONDS
            connection.close()
            return 1.0
        except Exception:  # an unexpected error must not end the scheduler
            logger.exception("The tick failed and was undone; trying again.")
            return 1.0

    def sync(self) -> None:
        """Do nothing: each tick has already written its changes."""

    def close(self) -> None:
        """Release the lease, so that a standby takes over at once."""
        try:
            self._lease.release()
        except Error as error:
            logger.warning("The lease could not be released; it expires by itself. %s", first_line(error))

    @property
    def schedule(self) -> dict[str, Any]:
        """Return an empty schedule: celery beat only logs and counts it; the rows are the schedule."""
        return {}

    # --- Ticking -----------------------------------------------------------------------------

    def _run_due(self) -> float:
        """Settle all schedules whose next slot has come; return the seconds until the next slot."""
        for _ in range(ROUNDS):
            now = self._lease.now()
            horizon = self._longest_seconds()
            modes = maintenance_mode.Modes()
            if modes.is_on(maintenance_mode.ALL):
                return horizon
            coming = _coming(now + timedelta(seconds=horizon), but=modes.task_names_held)
            due = [pk for pk, slot in coming if slot <= now]
            if not due:
                return min(horizon, (coming[0][1] - now).total_seconds()) if coming else horizon
            batch = TickBatch(now, modes)
            self._settle(batch, due, oldest=coming[0][1])
            if not batch.settled:
                return LOCKED_SECONDS
        return 0.0  # more may be due, but recovery has its turn

    def _settle(self, batch: TickBatch, pks: list[int], *, oldest: datetime) -> None:
        """Write the runs of the due slots of these schedules, then send their messages."""
        with transaction.atomic():
            self._lease.guard(lag_seconds=max(0.0, (batch.now - oldest).total_seconds()))
            for task in _locked(pks):
                batch.settle(task)
                if batch.is_long_enough:
                    break
            batch.write()
        dispatch.publish_all(batch.queued)
        for task in batch.foreign:
            self._send_foreign(task)
            self._lease.acquire()  # each may take half a second, and they may be many

    def _send_foreign(self, task: PeriodicTask) -> None:
        """Send a task that is no job of ours. It has no run in the ledger, so it is not sent again if it fails."""

        def send(line: publishing.Line, _errand: object) -> None:
            try:
                self.apply_async(entry, producer=line.producer, advance=False)
            except SchedulingError as error:
                raise error.__cause__ or error.__context__ or error from None  # usually the broker's error

        try:
            entry = self.Entry(task, app=self.app)
            entry.options["retry"] = False
            publishing.ask(send)
        except publishing.BrokerAway as error:
            logger.error("%s was not sent, and has no run that could be sent again. %s", task.name, error)
        except Exception:
            logger.exception("%s could not be sent; it has no run that could be sent again.", task.name)

    # --- Repairing ---------------------------------------------------------------------------

    def _sweep(self, *, free_seconds: float) -> None:
        """Run recovery and the audit from time to time; not if a slot comes in less than ``free_seconds`` seconds."""
        waited = time.monotonic() - self._sweep_at
        if waited < SWEEP_SECONDS or (free_seconds < SWEEP_TAKES_SECONDS and waited < 2 * SWEEP_SECONDS):
            return
        self._sweep_at = time.monotonic()
        self._audit()
        recovery.sweep(judge_workers=time.monotonic() >= self._judge_at)

    def _put_back_after_the_clock(self) -> None:
        """If the database's clock was set back, let schedules count from that moment: they were settled beyond it."""
        if set_back_at := self._lease.take_set_back():
            self._set_back_at, self._put_back_until = set_back_at, 0
        while self._set_back_at is not None:
            ahead = self._set_back_at + slots.AHEAD
            rest = ScheduleControl.objects.filter(Q(last_slot_at__gt=ahead) | Q(effective_from__gt=ahead))
            rest = rest.filter(pk__gt=self._put_back_until).order_by("pk")
            pks = list(rest.values_list("pk", flat=True)[:AUDITED])
            if not pks:
                self._set_back_at = None
                return
            self._put_back_until = pks[-1]
            self._look_over(pks, now=self._set_back_at)

    def _audit(self) -> None:
        """Check the next schedules for edits that sent no signal."""
        if time.monotonic() - self._audit_at < AUDIT_SECONDS:
            return
        rest = PeriodicTask.objects.filter(pk__gt=self._audited_until).order_by("pk")
        pks = list(rest.values_list("pk", flat=True)[:AUDITED])
        # Before the work, so that a schedule that fails is not tried first again and again.
        if len(pks) == AUDITED:
            self._audited_until = pks[-1]
        else:
            self._audited_until, self._audit_at = 0, time.monotonic()
        self._look_over(pks)

    def _look_over(self, pks: list[int], *, now: datetime | None = None) -> None:
        """Recheck these schedules; ``now``: a moment to use instead of the clock's."""
        modes = maintenance_mode.Modes()
        with transaction.atomic():
            # A leader that was suspended would mistake what its successor has settled for a clock that was set back.
            self._lease.guard()
            # Locked in a tick's order: an edit of a shared crontab row also locks its schedules before their controls.
            for task in _locked(pks):
                try:
                    with transaction.atomic():
                        replanning.recheck(task, now=now or self._lease.now(), modes=modes)
                except (OperationalError, InterfaceError):
                    raise
                except Exception:
                    _set_aside(task.pk)

    # --- Waiting -----------------------------------------------------------------------------

    def _longest_seconds(self) -> float:
        return float(min(self.max_interval, self._lease.seconds / 3))

    def _standby_seconds(self) -> float:
        return float(min(self.max_interval, self._lease.seconds / 4))


def _coming(until: datetime, *, but: Sequence[str]) -> list[tuple[int, datetime]]:
    """Return the first schedules whose next slot comes by ``until``, with that slot; without the tasks ``but``."""
    controls = ScheduleControl.objects.filter(next_slot_at__lte=until).order_by("next_slot_at")
    if but:
        controls = controls.exclude(schedule__task__in=but)
    found = controls.values_list("pk", "next_slot_at")[:BATCH]
    return [(pk, slot) for pk, slot in found if slot is not None]


def _locked(pks: list[int]) -> list[PeriodicTask]:
    """Lock these schedules as an edit does, by the task's row, and return their current state.

    A schedule that is being edited is left for the next tick. The lock is a separate statement, because joined rows
    are as old as the start of the statement that reads them.
    """
    tasks = PeriodicTask.objects.filter(pk__in=pks).order_by("pk")
    return _load(list(tasks.select_for_update(skip_locked=True).values_list("pk", flat=True)))


def _load(pks: list[int]) -> list[PeriodicTask]:
    """Return these schedules without those that cannot be read (a removed time zone), which are disabled."""
    tasks = PeriodicTask.objects.filter(pk__in=pks).select_related(*RELATED).order_by("pk")
    try:
        return list(tasks)
    except Error:
        raise
    except Exception:
        readable = []
        for pk in pks:
            try:
                readable += tasks.filter(pk=pk)
            except Exception:
                _set_aside(pk)
        return readable


def _set_aside(pk: int) -> None:
    """Called in an exception handler: keep this schedule from firing until it is edited, and log that."""
    logger.exception("Schedule %s cannot fire: it is invalid.", pk)
    ScheduleControl.objects.filter(pk=pk).update(next_slot_at=None)


def _line_or_fault(job: Job) -> str:
    try:
        return _line(job)
    except Error:
        raise
    except Exception:  # an error in this listing must not keep the scheduler from starting
        logger.exception("%s: its schedule cannot be read", job.slug)
        return f"{job.slug}: ?"


def _line(job: Job) -> str:
    task = schedules.for_job(job.slug)
    if task is None:
        return f"{job.slug}: on demand"
    if not task.enabled:
        return f"{job.slug}: paused ({schedules.control_of(task).pause_reason or 'no reason given'})"
    fire = schedules.next_fire(task)
    at = f"next {with_zone(fire.astimezone(schedules.zone_of(task)))}" if fire else "never fires"
    return f"{job.slug}: {schedules.crontab_of(task) or task.scheduler} ({schedules.describe(task, 'en')}; {schedules.zone_of(task)}), {at}"
