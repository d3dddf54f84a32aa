"""The scheduler that celery beat runs: several may be started, one ticks, every slot makes one run.

A tick, under the lease: find the schedules whose next slot has come; in one transaction check the fence, lock
them, write the runs of their slots (unique by schedule and slot) and where each is settled until; after the commit
send the messages. What dies in between is found again: a slot by ``last_slot_at``, a message by ``recovery``.

No schedule is kept in memory: a tick costs as much with ten schedules as with ten thousand, and sees every edit.
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
from maintenance.ledger import dispatch, publishing
from maintenance.models import ScheduleControl
from maintenance.registry import TASK_PREFIX, Job, jobs
from maintenance.scheduling import maintenance_mode, recovery, replanning, schedules, slots
from maintenance.scheduling.lease import Lease, LeaseLost
from maintenance.scheduling.targets import ignored_fields
from maintenance.scheduling.tick_batch import TickBatch

logger = logging.getLogger(__name__)

# How often recovery and the audit have their turn.
SWEEP_SECONDS = 2.0
# A slot that comes sooner than this goes first.
SWEEP_TAKES_SECONDS = 0.2
# Schedules settled in one transaction: the first message waits for the last of them.
BATCH = 200
# Transactions of one tick.
ROUNDS = 20
# QuerySet.update(), a restored backup, a clock that was set back: signs that no signal gives. This many schedules
# are looked over at each sweep, so all of 10,000 within seven minutes.
AUDITED = 50
# Between two audits of all schedules.
AUDIT_SECONDS = 60.0

# A due schedule that somebody is editing is looked at again so soon.
LOCKED_SECONDS = 0.1

RELATED = ("crontab", "interval", "clocked", "solar", "control")


class LeasedDatabaseScheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat has no types
    """django-celery-beat's scheduler with a lease, slots and the ledger in place of its tick."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lease = Lease(settings.BEAT_LEASE_SECONDS)
        self._sweep_at = self._audit_at = self._judge_at = float("-inf")
        self._audited_until = 0
        # While schedules are put back: since when the clock shows its present time, and the last one that was.
        self._set_back_at: datetime | None = None
        self._put_back_until = 0
        super().__init__(*args, **kwargs)

    # --- What celery beat calls --------------------------------------------------------------

    def setup_schedule(self) -> None:
        """Log every job with its schedule and next fire time, and warn of what has no effect."""
        self._warn_of_ignored()
        for job in jobs():
            try:
                logger.info("%s", _line(job))
            except Exception:  # a listing must not keep the scheduler from starting
                logger.exception("%s: its schedule cannot be read", job.slug)

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
            self._sweep(spare=wait)
            return max(0.0, wait - (time.monotonic() - began))
        except LeaseLost:
            logger.warning("The lease was lost in the middle of a tick; what it wrote was undone.")
            return self._standby_seconds()
        except Error:
            logger.exception("The tick failed in the database and was undone; trying again.")
            if not connection.is_usable():
                # It was away for the workers' heartbeats too: they need a moment to be heard again.
                self._judge_at = time.monotonic() + 2 * settings.HEARTBEAT_SECONDS
            connection.close()
            return 1.0
        except Exception:  # what nobody thought of must not end the scheduler
            logger.exception("The tick failed and was undone; trying again.")
            return 1.0

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

    # --- Ticking -----------------------------------------------------------------------------

    def _run_due(self) -> float:
        """Settle all schedules whose slot has come; return the seconds until the next slot."""
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
        """Write what is due of these schedules, then send it."""
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
        """Send somebody else's task. It has no run in the ledger, so nobody sends it again."""

        def send(line: publishing.Line, _errand: object) -> None:
            try:
                self.apply_async(entry, producer=line.producer, advance=False)
            except SchedulingError as error:
                raise error.__cause__ or error.__context__ or error from None  # the broker's, as a rule

        try:
            entry = self.Entry(task, app=self.app)
            entry.options["retry"] = False
            publishing.ask(send)
        except publishing.BrokerAway as error:
            logger.error("%s was not sent, and has no run that could be sent again. %s", task.name, error)
        except Exception:
            logger.exception("%s could not be sent; it has no run that could be sent again.", task.name)

    # --- Putting right -----------------------------------------------------------------------

    def _sweep(self, *, spare: float) -> None:
        """Put things right now and then; where a slot comes in less than ``spare`` seconds, rather after it."""
        waited = time.monotonic() - self._sweep_at
        if waited < SWEEP_SECONDS or (spare < SWEEP_TAKES_SECONDS and waited < 2 * SWEEP_SECONDS):
            return
        self._sweep_at = time.monotonic()
        self._audit()
        recovery.sweep(judge_workers=time.monotonic() >= self._judge_at)

    def _put_back_after_the_clock(self) -> None:
        """Where the database's clock was set back, let schedules count from that moment: they were settled beyond it."""
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
        """Look over the next schedules for edits that left no sign."""
        if time.monotonic() - self._audit_at < AUDIT_SECONDS:
            return
        rest = PeriodicTask.objects.filter(pk__gt=self._audited_until).order_by("pk")
        pks = list(rest.values_list("pk", flat=True)[:AUDITED])
        # Before the work: one that fails must not be met again and again.
        if len(pks) == AUDITED:
            self._audited_until = pks[-1]
        else:
            self._audited_until, self._audit_at = 0, time.monotonic()
        self._look_over(pks)

    def _look_over(self, pks: list[int], *, now: datetime | None = None) -> None:
        """Put these schedules right; ``now``: by another moment than the clock's."""
        with transaction.atomic():
            # A leader that slept would take what its heir has settled for a clock that was set back.
            self._lease.guard()
            # Locked as in a tick: an edit of a shared crontab row has its users' rows before their controls too.
            for task in _locked(pks):
                try:
                    with transaction.atomic():
                        replanning.recheck(task, now=now or self._lease.now())
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
    """Return the first schedules whose next slot comes by then, with that slot; none of the tasks ``but``."""
    controls = ScheduleControl.objects.filter(next_slot_at__lte=until).order_by("next_slot_at")
    if but:
        controls = controls.exclude(schedule__task__in=but)
    found = controls.values_list("pk", "next_slot_at")[:BATCH]
    return [(pk, slot) for pk, slot in found if slot is not None]


def _locked(pks: list[int]) -> list[PeriodicTask]:
    """Lock these schedules as an edit does, by the task's row, and return them as they are then.

    One that is being edited is left for the next tick. In a statement of its own, because the rows beside the locked
    one are as old as the statement.
    """
    tasks = PeriodicTask.objects.filter(pk__in=pks).order_by("pk")
    return _load(list(tasks.select_for_update(skip_locked=True).values_list("pk", flat=True)))


def _load(pks: list[int]) -> list[PeriodicTask]:
    """Return these schedules; one that cannot be read (a time zone that is no more) is set aside."""
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
    """Within an exception: let this schedule not fire until it is edited, and say so."""
    logger.exception("Schedule %s cannot fire: it is invalid.", pk)
    ScheduleControl.objects.filter(pk=pk).update(next_slot_at=None)


def _line(job: Job) -> str:
    task = schedules.for_job(job.slug)
    if task is None:
        return f"{job.slug}: on demand"
    if not task.enabled:
        return f"{job.slug}: paused ({schedules.control_of(task).pause_reason or 'no reason given'})"
    fire = schedules.next_fire(task)
    at = f"next {with_zone(fire.astimezone(schedules.zone_of(task)))}" if fire else "never fires"
    return f"{job.slug}: {schedules.crontab_of(task) or task.scheduler} ({schedules.describe(task, 'en')}; {schedules.zone_of(task)}), {at}"
