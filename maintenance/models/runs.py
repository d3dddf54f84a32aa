"""A run: its states, and the verbs that change them."""

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import IntegrityError, connection, models, transaction
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database import clock
from database.commits import without_waiting
from database.constraints import DatabaseOnDelete
from database.returning import update_rows
from database.sessions import pid_of
from maintenance.models import statuses
from maintenance.models.planned_windows import PlannedWindow
from maintenance.models.run_fields import RunFields
from maintenance.models.run_queries import JobRunQuerySet

if TYPE_CHECKING:
    from scraping.models import BotConfig

# A run that reaches no checkpoint within this time after it was cancelled may be stopped by force.
FORCE_STOP_AFTER = timedelta(seconds=30)
# One look asks the worker for this long; somebody who goes on looking asks again after half of it.
WATCHED_FOR = timedelta(seconds=15)


class JobRun(RunFields):
    """One row for every intended execution, created when it is requested, before any message is sent.

    ::

                  ┌─► SKIPPED (overlap · paused)      MISSED (no scheduler ticked at that slot)
      request ─► QUEUED ─► RUNNING ─► SUCCEEDED | PARTIAL | FAILED | CANCELLED
                  │           └─────► INTERRUPTED (stopped or lost worker) ─► a new attempt resumes its cursor
                  └─► BLOCKED (safety cap) ─► approved ─► QUEUED

    Only the verbs below change ``status``; each is one guarded UPDATE (compare-and-set), so that two
    processes that both believe to own a run cannot both write it.
    """

    Status, Trigger, Reason = statuses.Status, statuses.Trigger, statuses.Reason

    # The bot that it is about, on pages that name it (``maintenance.names``); no column.
    bot: "BotConfig | None" = None

    retry_of = models.OneToOneField(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="next_attempt",
        verbose_name=_("retry of"),
    )

    objects = JobRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("job run")
        verbose_name_plural = _("job runs")
        ordering = ["-id"]
        permissions = [
            ("run_job", _("Can run jobs now")),
            ("cancel_jobrun", _("Can cancel job runs")),
            ("approve_run", _("Can approve blocked runs")),
        ]
        constraints = [
            DatabaseOnDelete(name="jobrun_retry_of_fk", field="retry_of", action="SET NULL"),
            # At most one run per slot, however many schedulers, replays and restarts there are.
            models.UniqueConstraint(
                fields=["schedule", "scheduled_for"],
                condition=Q(trigger=statuses.Trigger.SCHEDULE),
                name="jobrun_one_per_slot",
            ),
            models.UniqueConstraint(
                fields=["concurrency_key"],
                condition=Q(status=statuses.Status.RUNNING) & ~Q(concurrency_key=""),
                name="jobrun_one_running_per_key",
            ),
            models.CheckConstraint(
                name="jobrun_status_known",
                condition=Q(status__in=statuses.Status.values),
            ),
            models.CheckConstraint(
                name="jobrun_trigger_known",
                condition=Q(trigger__in=statuses.Trigger.values),
            ),
            models.CheckConstraint(
                name="jobrun_finished_when_final",
                condition=Q(status__in=statuses.OPEN, finished_at__isnull=True)
                | (~Q(status__in=statuses.OPEN) & Q(finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="jobrun_running_has_worker",
                condition=~Q(status=statuses.Status.RUNNING)
                | (Q(started_at__isnull=False, heartbeat_at__isnull=False) & ~Q(worker="")),
            ),
            models.CheckConstraint(name="jobrun_attempt_from_1", condition=Q(attempt__gte=1)),
            models.CheckConstraint(name="jobrun_progress_not_negative", condition=Q(progress_done__gte=0)),
        ]
        indexes = [
            # history of one job, newest first; "the newest 100 of each job"; the run strip
            models.Index(fields=["job", "-id"], name="jobrun_job"),
            # admin filter by status; latest failures
            models.Index(fields=["status", "-id"], name="jobrun_status"),
            # recovery, every two seconds: the queued and running ones
            models.Index(
                fields=["status", "id"],
                name="jobrun_open",
                condition=Q(status__in=statuses.OPEN),
            ),
            # overlap at a tick, and the next run at each end of a run: the open ones of a key, oldest first
            models.Index(
                fields=["concurrency_key", "id"],
                name="jobrun_open_key",
                condition=Q(status__in=statuses.OPEN),
            ),
            # cleanup_run_history: WHERE finished_at < cutoff, in key order
            models.Index(fields=["finished_at"], name="jobrun_finished_at"),
            # admin filter by date
            models.Index(fields=["queued_at"], name="jobrun_queued_at"),
            # admin filter by trigger: nearly all runs are scheduled
            models.Index(
                fields=["trigger", "-id"],
                name="jobrun_not_scheduled",
                condition=~Q(trigger=statuses.Trigger.SCHEDULE),
            ),
            # admin filter by dry run: few are
            models.Index(fields=["-id"], name="jobrun_dry", condition=Q(dry_run=True)),
            # the usual duration (ledger.usual): the newest ones of a key that succeeded at the first attempt
            models.Index(
                fields=["concurrency_key", "-id"],
                name="jobrun_usual",
                condition=Q(status=statuses.Status.SUCCEEDED, dry_run=False, attempt=1),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} #{self.pk}"

    @property
    def is_final(self) -> bool:
        """Whether the run will not change any more."""
        return self.status in statuses.FINAL

    @property
    def has_failed(self) -> bool:
        """Whether it ended without having done all its work."""
        return self.status in statuses.FAILURES

    @property
    def is_queued(self) -> bool:
        """Whether it waits for a worker."""
        return self.status == self.Status.QUEUED

    @property
    def is_running(self) -> bool:
        """Whether a worker has claimed it and not ended it."""
        return self.status == self.Status.RUNNING

    @property
    def is_blocked(self) -> bool:
        """Whether it waits for a person."""
        return self.status == self.Status.BLOCKED

    @property
    def is_due(self) -> bool:
        """Whether its time has come."""
        return self.not_before is None or self.not_before <= clock.now()

    @property
    def duration(self) -> timedelta | None:
        """Time from start to end, to now while running, or to the moment it was blocked; None before the start."""
        if self.started_at is None:
            return None
        stopped = self.heartbeat_at if self.status == self.Status.BLOCKED else None
        return (self.finished_at or stopped or clock.now()) - self.started_at

    def _guarded(self, *, expect: str, owner: str | None = None, once: str = "", **values: Any) -> bool:
        """UPDATE this row if it still has the status ``expect`` (and the owner); copy the values on success.

        ``once``: the column that must still be empty.
        """
        rows = JobRun.objects.filter(pk=self.pk, status=expect, **({f"{once}__isnull": True} if once else {}))
        if owner is not None:
            rows = rows.filter(worker=owner)
        if not rows.update(**values):
            return False
        self._take_over(values)
        return True

    def _take_over(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, clock.now() if isinstance(value, Now) else value)

    def claim(self, *, worker: str) -> bool:
        """QUEUED ─► RUNNING. False: this worker cannot claim it now.

        Another worker has it, it was cancelled, its job is running already, its time has not come, or it was
        scheduled and nothing scheduled may start.
        """
        # A weekly window whose occurrence is over holds runs until somebody has looked when it opens next.
        return self._claim(worker) or (PlannedWindow.objects.move_on(clock.now()) > 0 and self._claim(worker))

    def _claim(self, worker: str) -> bool:
        connection.ensure_connection()
        # One statement, because every run waits for it.
        mine = JobRun.objects.may_start().filter(without_waiting(), pk=self.pk, job=self.job)
        values = {
            "status": self.Status.RUNNING,
            "worker": worker,
            "started_at": clock.now(),
            "heartbeat_at": Now(),
            "backend_pid": pid_of(connection),
            "process_state": None,
        }
        try:
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                claimed = update_rows(mine, **values)
        except IntegrityError:  # jobrun_one_running_per_key
            return False
        for run in claimed:
            self._state.adding = False
            for field in self._meta.concrete_fields:
                setattr(self, field.attname, getattr(run, field.attname))
        return bool(claimed)

    def beat(self, *, backend_pid: int | None = None, process_state: dict[str, Any] | None = None) -> bool:
        """Write a heartbeat for recovery, by the database's clock, because the hosts' clocks may disagree.

        False: the row is locked, for example by a batch of this run. It does not wait for the lock, because a run that
        hangs there must not stop the thread that watches it. ``backend_pid``: the database session in which the job
        works. ``process_state``: what somebody who watches is told; None: nobody watches.
        """
        mine = self._running_and_unlocked().filter(without_waiting(), worker=self.worker)
        values = {"backend_pid": backend_pid, "process_state": process_state}
        return bool(mine.update(heartbeat_at=Now(), **values))

    def watch(self) -> bool:
        """Ask the worker to tell the state of its process for a while. False: it is asked already, or cannot be now.

        It cannot be asked when it has ended, or while its row is locked.
        """
        soon = Q(watched_until__isnull=True) | Q(watched_until__lt=Now() + WATCHED_FOR / 2)
        return bool(self._running_and_unlocked().filter(soon).update(watched_until=Now() + WATCHED_FOR))

    def _running_and_unlocked(self) -> JobRunQuerySet:
        rows = JobRun.objects.running().filter(pk=self.pk)
        if connection.vendor == "postgresql":
            unlocked = "SELECT id FROM maintenance_jobrun WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED"
            rows = rows.filter(pk__in=RawSQL(unlocked, [self.pk]))  # noqa: S611  (a constant)
        return rows

    def finish(
        self,
        status: str,
        *,
        reason: str = "",
        **values: Any,
    ) -> bool:
        """RUNNING ─► a final status, by the worker that owns it. False: this worker no longer owns it."""
        assert status in statuses.FINAL
        values |= {"status": status, "reason": reason, "finished_at": clock.now()}
        return self._guarded(expect=self.Status.RUNNING, owner=self.worker, **values)

    def record(self, **values: Any) -> bool:
        """Save progress, counts or cursor of a running run. False: this worker no longer owns it."""
        return self._guarded(expect=self.Status.RUNNING, owner=self.worker, **values)

    def mark_lost(self, *, silent_for: float, status: str, reason: str, error: str) -> bool:
        """RUNNING ─► a final status by recovery, if its heartbeat is still older than ``silent_for`` seconds."""
        assert status in statuses.FINAL
        rows = JobRun.objects.silent_for(silent_for).filter(pk=self.pk, worker=self.worker)
        return bool(rows.update(status=status, reason=reason, finished_at=clock.now(), error=error))

    def skip_queued(self, *, reason: str, message: str) -> bool:
        """QUEUED ─► SKIPPED, by a command that cannot start it now. False: it has started meanwhile."""
        return self._guarded(
            expect=self.Status.QUEUED,
            status=self.Status.SKIPPED,
            reason=reason,
            finished_at=clock.now(),
            message=message,
        )

    def block(self, *, message: str) -> bool:
        """RUNNING ─► BLOCKED: the safety cap was reached; the plan and the message say by how many rows."""
        now = clock.now()
        return self._guarded(
            expect=self.Status.RUNNING,
            owner=self.worker,
            status=self.Status.BLOCKED,
            message=message,
            heartbeat_at=now,
            waiting_since=self.waiting_since or now,
        )

    def supersede(self, older: "JobRun", *, message: str) -> bool:
        """An older run: BLOCKED ─► CANCELLED, because this one has made its own plan. False: that one was decided.

        If this one is blocked too, its waiting time counts from that of the older one.
        """
        since = older.waiting_since
        ended = older._guarded(
            expect=self.Status.BLOCKED,
            status=self.Status.CANCELLED,
            reason=self.Reason.SUPERSEDED,
            finished_at=clock.now(),
            message=message,
        )
        if ended and since is not None and (self.waiting_since is None or since < self.waiting_since):
            self.record(waiting_since=since)
        return ended

    def approve(self, *, mandate: dict[str, Any] | None, message: str) -> bool:
        """BLOCKED ─► QUEUED, under this mandate. False: it is not blocked."""
        return self._guarded(
            expect=self.Status.BLOCKED,
            status=self.Status.QUEUED,
            mandate=mandate,
            sent_at=None,
            started_at=None,
            heartbeat_at=None,
            waiting_since=None,
            cancel_requested_at=None,
            force_stop_at=None,
            worker="",
            message=message,
        )

    def reject(self, *, message: str) -> bool:
        """BLOCKED ─► CANCELLED. False: it is not blocked."""
        return self._guarded(
            expect=self.Status.BLOCKED,
            status=self.Status.CANCELLED,
            reason=self.Reason.OPERATOR,
            finished_at=clock.now(),
            message=message,
        )

    def cancel_queued(self, *, message: str) -> bool:
        """QUEUED ─► CANCELLED. False: it has started meanwhile."""
        return self._guarded(
            expect=self.Status.QUEUED,
            status=self.Status.CANCELLED,
            reason=self.Reason.OPERATOR,
            finished_at=clock.now(),
            message=message,
        )

    def fail_queued(self, *, reason: str, error: str) -> bool:
        """QUEUED ─► FAILED: no worker can perform it. False: it has started meanwhile."""
        return self._guarded(
            expect=self.Status.QUEUED,
            status=self.Status.FAILED,
            reason=reason,
            finished_at=clock.now(),
            error=error,
        )

    def ask_to_cancel(self) -> bool:
        """Mark a running run; its worker cancels it at the next checkpoint. False: it is not running, or is marked."""
        return self._guarded(
            expect=self.Status.RUNNING, once="cancel_requested_at", cancel_requested_at=clock.now()
        )

    @property
    def may_be_forced(self) -> bool:
        """Whether it was cancelled long enough ago to be stopped by force."""
        asked = self.cancel_requested_at
        return (
            self.status == self.Status.RUNNING
            and self.force_stop_at is None
            and asked is not None
            and clock.now() - asked >= FORCE_STOP_AFTER
        )

    def ask_to_force_stop(self) -> bool:
        """Mark a running run that does not stop; its process ends it and exits. False: it is not running, or is marked."""
        return self._guarded(expect=self.Status.RUNNING, once="force_stop_at", force_stop_at=clock.now())

    @classmethod
    def mark_sent(cls, runs: Collection[Self]) -> None:
        """Note that their messages were sent, so that recovery waits before it sends them again."""
        if not runs:
            return
        waiting = cls.objects.queued().filter(without_waiting(), pk__in=[run.pk for run in runs])
        waiting.update(sent_at=Now())
        for run in runs:
            run.sent_at = clock.now()
