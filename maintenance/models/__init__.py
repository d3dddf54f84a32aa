"""The ledger and what operators own: runs, log lines, schedule controls, retentions, the scheduler's lease."""

from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from database import clock
from database.commits import without_waiting, without_waiting_sql
from database.constraints import DatabaseOnDelete
from database.json_fields import JSONObjectField
from database.messages import MessageField, MessagesQuerySet, PartsField, ShortMessageField
from database.names import Folded

Person = User | AnonymousUser

# The claim of a run, in one statement: it stands between every request and its work.
CLAIM = """
UPDATE maintenance_jobrun
SET status = 'running', worker = %%(worker)s, started_at = %%(now)s, heartbeat_at = %(clock)s
WHERE id = %%(id)s AND job = %%(job)s AND status = 'queued'
  AND (not_before IS NULL OR not_before <= %%(now)s)
  AND (scheduled_for IS NULL OR NOT EXISTS (
    SELECT 1 FROM maintenance_maintenancemode WHERE started_at IS NOT NULL AND ended_at IS NULL))
  AND %(without_waiting)s
RETURNING *
"""
# A run that reaches no checkpoint in so long after it was cancelled may be stopped by force.
FORCE_STOP_AFTER = timedelta(seconds=30)
# As django.db.models.functions.Now says it.
CLOCK = {"postgresql": "STATEMENT_TIMESTAMP()", "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"}


# For jobs that say so: which of their runs somebody sees without the permission. Filled by ``registry``.
_shown_to: list[Callable[[Person], Q]] = []


def show_runs(condition: Callable[[Person], Q]) -> None:
    """Let people without the permission to see runs see those that fulfil their condition."""
    _shown_to.append(condition)


class JobRunQuerySet(MessagesQuerySet["JobRun"]):
    """States of runs."""

    def visible_to(self, user: Person) -> Self:
        """Return the runs that the user may see: all with the permission, else those that a job shows them."""
        if not user.is_active:
            return self.none()
        if user.has_perm("maintenance.view_jobrun"):
            return self
        conditions = [condition(user) for condition in _shown_to]
        return self.filter(reduce(or_, conditions)) if conditions else self.none()

    def running(self) -> Self:
        """Return runs a worker has claimed and not ended."""
        return self.filter(status=JobRun.Status.RUNNING)

    def queued(self) -> Self:
        """Return runs that wait for a worker."""
        return self.filter(status=JobRun.Status.QUEUED)

    def due(self) -> Self:
        """Return runs that need not wait for their time any more."""
        return self.filter(Q(not_before__isnull=True) | Q(not_before__lte=clock.now()))

    def may_start(self) -> Self:
        """Return queued runs that a worker may claim now, unless another of their key runs."""
        not_held_up = Q(scheduled_for__isnull=True) | ~Exists(MaintenanceMode.objects.on())
        return self.queued().due().filter(not_held_up)

    def could_start(self) -> Self:
        """Return queued runs for which nothing is missing but a worker."""
        same_key = self.model.objects.running().filter(concurrency_key=OuterRef("concurrency_key"))
        return self.may_start().filter(Q(concurrency_key="") | ~Exists(same_key))

    def blocked(self) -> Self:
        """Return runs that wait for a person, the one that has waited longest first."""
        return self.filter(status=JobRun.Status.BLOCKED).order_by("waiting_since", "pk")

    def open(self) -> Self:
        """Return runs without an end: queued, running, or blocked until somebody approves or rejects."""
        return self.filter(status__in=[JobRun.Status.QUEUED, JobRun.Status.RUNNING, JobRun.Status.BLOCKED])

    def finished(self) -> Self:
        """Return runs in a final state."""
        return self.filter(finished_at__isnull=False)

    def finished_before(self, cutoff: datetime) -> Self:
        """Return runs that ended before the cutoff (exclusive)."""
        return self.filter(finished_at__lt=cutoff)

    def silent_for(self, seconds: float) -> Self:
        """Return running runs whose last heartbeat is older than that, by the database's clock."""
        return self.running().filter(heartbeat_at__lt=Now() - timedelta(seconds=seconds))


class JobRun(models.Model):
    """One row for every intended execution, made when it is requested, before any message is sent.

    ::

                  ┌─► SKIPPED (overlap · paused)      MISSED (no scheduler was alive at that slot)
      request ─► QUEUED ─► RUNNING ─► SUCCEEDED | PARTIAL | FAILED | CANCELLED
                  │           └─────► INTERRUPTED (stopped or lost worker) ─► a new attempt resumes its cursor
                  └─► BLOCKED (safety cap) ─► approved ─► QUEUED

    Only the verbs below change ``status``; each is one guarded UPDATE (compare-and-set), so that two
    processes that both believe to own a run cannot both write it.
    """

    class Status(models.TextChoices):
        """See the class."""

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

    class Trigger(models.TextChoices):
        """Which door the request came through."""

        SCHEDULE = "schedule", _("schedule")
        ADMIN = "admin", _("admin")
        COMMAND = "command", _("command")
        API = "api", _("API")
        RETRY = "retry", _("retry")

    class Reason(models.TextChoices):
        """Why a run ended other than by its own work."""

        NONE = "", _("none")
        OVERLAP = "overlap", _("an earlier run was not finished")
        PAUSED = "paused", _("paused")
        NO_SCHEDULER = "no_scheduler", _("no scheduler was alive")
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

    # Design: these and only these have an end.
    FINAL = frozenset({"succeeded", "partial", "failed", "cancelled", "interrupted", "skipped", "missed"})

    job = models.CharField(_("job"), max_length=100)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.QUEUED)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason, default=Reason.NONE, blank=True)
    trigger = models.CharField(_("trigger"), max_length=8, choices=Trigger)
    # History outlives its subjects: names stand beside keys that may become null.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("requested by"),
    )
    requested_by_name = models.CharField(_("requested by"), max_length=150, blank=True)
    schedule = models.ForeignKey(
        "django_celery_beat.PeriodicTask",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="runs",
        verbose_name=_("schedule"),
    )
    schedule_name = models.CharField(_("schedule's name"), max_length=200, blank=True)
    scheduled_for = models.DateTimeField(_("slot"), null=True, blank=True)
    dry_run = models.BooleanField(_("dry run"), default=False)
    params = JSONObjectField(_("parameters"), default=dict, blank=True)
    # Two running runs never share a key; empty: this job may run beside itself.
    concurrency_key = models.CharField(_("concurrency key"), max_length=140, blank=True)
    queued_at = models.DateTimeField(pgettext_lazy("time", "queued"), default=clock.now)
    # No worker may begin earlier; null: as soon as there is one.
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    # When the message last went to the broker; null: still to be sent.
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    # Since when a person is asked to decide about it, or about the run that it superseded.
    waiting_since = models.DateTimeField(_("waiting since"), null=True, blank=True)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    # It did not stop: its process is to be killed.
    force_stop_at = models.DateTimeField(_("force stop requested"), null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=200, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    retry_of = models.OneToOneField(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="next_attempt",
        verbose_name=_("retry of"),
    )
    progress_done = models.BigIntegerField(_("done"), default=0)
    progress_total = models.BigIntegerField(_("total"), null=True, blank=True)
    stage = ShortMessageField(_("stage"), max_length=200, blank=True)
    stage_parts = PartsField(of="stage")
    # Rows by model label, such as {"scraping.RedditPost": 12}; other jobs count in their own words.
    counts = JSONObjectField(_("counts"), default=dict, blank=True)
    cursor = JSONObjectField(_("cursor"), null=True, blank=True)
    # What a purge would delete or set out to delete: {"at": ISO 8601, "tables": [plan.TablePlan.as_json(), ...]}
    plan = JSONObjectField(_("plan"), null=True, blank=True)
    # What allows it to delete: purging.mandate.Mandate.as_json(); null: what its first attempt finds.
    mandate = JSONObjectField(_("mandate"), null=True, blank=True)
    message = MessageField(_("message"), blank=True)
    message_parts = PartsField(of="message")
    error = MessageField(_("error"), blank=True)
    error_parts = PartsField(of="error")
    traceback = models.TextField(_("traceback"), blank=True)

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
            # A tick makes at most one run, however many schedulers, replays and restarts there are.
            models.UniqueConstraint(
                fields=["schedule", "scheduled_for"],
                condition=Q(trigger="schedule"),
                name="jobrun_one_per_slot",
            ),
            models.UniqueConstraint(
                fields=["concurrency_key"],
                condition=Q(status="running") & ~Q(concurrency_key=""),
                name="jobrun_one_running_per_key",
            ),
            models.CheckConstraint(
                name="jobrun_status_known",
                condition=Q(
                    status__in=[
                        "queued",
                        "running",
                        "succeeded",
                        "partial",
                        "failed",
                        "cancelled",
                        "interrupted",
                        "skipped",
                        "missed",
                        "blocked",
                    ]
                ),
            ),
            models.CheckConstraint(
                name="jobrun_trigger_known",
                condition=Q(trigger__in=["schedule", "admin", "command", "api", "retry"]),
            ),
            models.CheckConstraint(
                name="jobrun_finished_when_final",
                condition=Q(status__in=["queued", "running", "blocked"], finished_at__isnull=True)
                | (~Q(status__in=["queued", "running", "blocked"]) & Q(finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="jobrun_running_has_worker",
                condition=~Q(status="running")
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
            # recovery, every two seconds: what is queued or running
            models.Index(
                fields=["status", "id"],
                name="jobrun_open",
                condition=Q(status__in=["queued", "running", "blocked"]),
            ),
            # overlap at a tick, and the next run at each end of a run: the open ones of a key, oldest first
            models.Index(
                fields=["concurrency_key", "id"],
                name="jobrun_open_key",
                condition=Q(status__in=["queued", "running", "blocked"]),
            ),
            # cleanup_run_history: WHERE finished_at < cutoff, in key order
            models.Index(fields=["finished_at"], name="jobrun_finished_at"),
            # admin filter by date
            models.Index(fields=["queued_at"], name="jobrun_queued_at"),
        ]

    def __str__(self) -> str:
        return f"{self.job} #{self.pk}"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change this run any more."""
        return self.status in self.FINAL

    @property
    def is_due(self) -> bool:
        """Whether it need not wait for its time any more."""
        return self.not_before is None or self.not_before <= clock.now()

    @property
    def duration(self) -> timedelta | None:
        """Time from start to end, to now while running, or to the moment it was blocked; None before the start."""
        if self.started_at is None:
            return None
        stopped = self.heartbeat_at if self.status == self.Status.BLOCKED else None
        return (self.finished_at or stopped or clock.now()) - self.started_at

    def _guarded(self, *, expect: str, owner: str | None = None, **values: Any) -> bool:
        """UPDATE this row if it still has the status ``expect`` (and the owner); copy the values on success."""
        rows = JobRun.objects.filter(pk=self.pk, status=expect)
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
        """QUEUED ─► RUNNING. False: not now, or not by this worker.

        Another worker has it, it was cancelled, its job is running already, its time has not come, or it was
        scheduled and nothing scheduled may start.
        """
        now = connection.ops.adapt_datetimefield_value(clock.now())
        statement = CLAIM % {"clock": CLOCK[connection.vendor], "without_waiting": without_waiting_sql()}
        values = {"id": self.pk, "job": self.job, "worker": worker, "now": now}
        try:
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                claimed = list(JobRun.objects.raw(statement, values))
        except IntegrityError:  # jobrun_one_running_per_key
            return False
        for run in claimed:
            self._state.adding = False
            for field in self._meta.concrete_fields:
                setattr(self, field.attname, getattr(run, field.attname))
        return bool(claimed)

    def beat(self) -> bool:
        """Tell recovery that the worker lives. The database's clock: the hosts' may disagree.

        False: the row is locked, as within a batch of the run's own; it is not waited for, because a run that hangs
        there must not hold up who watches it.
        """
        mine = JobRun.objects.running().filter(without_waiting(), pk=self.pk, worker=self.worker)
        if connection.vendor == "postgresql":
            unlocked = "SELECT id FROM maintenance_jobrun WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED"
            mine = mine.filter(pk__in=RawSQL(unlocked, [self.pk]))  # noqa: S611  (a constant)
        return bool(mine.update(heartbeat_at=Now()))

    def finish(
        self,
        status: str,
        *,
        reason: str = "",
        **values: Any,
    ) -> bool:
        """RUNNING ─► a final status, by the worker that owns it. False: it no longer does."""
        assert status in self.FINAL
        values |= {"status": status, "reason": reason, "finished_at": clock.now()}
        return self._guarded(expect=self.Status.RUNNING, owner=self.worker, **values)

    def record(self, **values: Any) -> bool:
        """Save progress, counts or cursor of a running run. False: this worker no longer owns it."""
        return self._guarded(expect=self.Status.RUNNING, owner=self.worker, **values)

    def mark_lost(self, *, silent_for: float, status: str, reason: str, error: str) -> bool:
        """RUNNING ─► a final status by recovery, if its heartbeat is still older than ``silent_for`` seconds."""
        assert status in self.FINAL
        rows = JobRun.objects.silent_for(silent_for).filter(pk=self.pk, worker=self.worker)
        return bool(rows.update(status=status, reason=reason, finished_at=clock.now(), error=error))

    def skip_queued(self, *, message: str) -> bool:
        """QUEUED ─► SKIPPED, for a command that finds its job running. False: it has started meanwhile."""
        return self._guarded(
            expect=self.Status.QUEUED,
            status=self.Status.SKIPPED,
            reason=self.Reason.OVERLAP,
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
        """Another run: BLOCKED ─► CANCELLED, as this one has made its own plan. False: that one was decided.

        Should this one block too, it has waited as long as the other.
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
        """QUEUED ─► FAILED: nobody can perform it. False: it has started meanwhile."""
        return self._guarded(
            expect=self.Status.QUEUED,
            status=self.Status.FAILED,
            reason=reason,
            finished_at=clock.now(),
            error=error,
        )

    def ask_to_cancel(self) -> bool:
        """Mark a running run; its worker cancels it at the next checkpoint. False: it is not running."""
        return self._guarded(expect=self.Status.RUNNING, cancel_requested_at=clock.now())

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
        """Mark a running run that does not stop; its process ends it and itself. False: it is not running."""
        return self._guarded(expect=self.Status.RUNNING, force_stop_at=clock.now())

    @classmethod
    def mark_sent(cls, runs: Collection[Self]) -> None:
        """Note that their messages went out, so that recovery waits before it sends others."""
        if not runs:
            return
        waiting = cls.objects.queued().filter(without_waiting(), pk__in=[run.pk for run in runs])
        waiting.update(sent_at=Now())
        for run in runs:
            run.sent_at = clock.now()


class RunLogLine(models.Model):
    """One line of a run's log; at most 2,000 a run (``context.LOG_LINES_MAX``)."""

    class Level(models.TextChoices):
        """Severity."""

        INFO = "info", _("info")
        WARNING = "warning", _("warning")
        ERROR = "error", _("error")

    run = models.ForeignKey(
        JobRun,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # runlogline_run
        related_name="log_lines",
        verbose_name=_("run"),
    )
    at = models.DateTimeField(_("time"), default=clock.now)
    level = models.CharField(_("level"), max_length=8, choices=Level, default=Level.INFO)
    text = MessageField(_("text"))
    text_parts = PartsField(of="text")

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        ordering = ["id"]
        constraints = [DatabaseOnDelete(name="runlogline_run_fk", field="run")]
        indexes = [
            # a run's log from a line on; the cascade of a deleted run
            models.Index(fields=["run", "id"], name="runlogline_run"),
        ]

    def __str__(self) -> str:
        return self.text


class ScheduleControl(models.Model):
    """Our half of a schedule; django-celery-beat's PeriodicTask is the other."""

    class MisfirePolicy(models.TextChoices):
        """What is done about slots that passed while no scheduler was alive."""

        SKIP = "skip", _("skip")
        RUN_ONCE = "run_once", _("run once")
        RUN_ALL = "run_all", _("run all, up to a limit")

    class OverlapPolicy(models.TextChoices):
        """What is done when the earlier run is not finished at the next slot."""

        SKIP = "skip", _("skip")
        QUEUE_ONE = "queue_one", _("queue one")

    schedule = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="control",
        verbose_name=_("schedule"),
    )
    # The default of the last seeding, as "minute hour day-of-month month day-of-week".
    default_crontab = models.CharField(_("default crontab"), max_length=255, blank=True)
    misfire_policy = models.CharField(
        _("missed slots"), max_length=8, choices=MisfirePolicy, default=MisfirePolicy.RUN_ONCE
    )
    misfire_limit = models.PositiveSmallIntegerField(
        _("catch up at most"), default=10, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    overlap_policy = models.CharField(
        _("overlap"), max_length=9, choices=OverlapPolicy, default=OverlapPolicy.SKIP
    )
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("paused by"),
    )
    pause_reason = models.CharField(_("reason of the pause"), max_length=500, blank=True)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    catch_up_after_pause = models.BooleanField(
        _("make up for a pause"),
        default=False,
        help_text=_("Treat slots that passed during a pause like missed ones, instead of leaving them out."),
    )
    # The latest slot that has been dealt with: run, skipped or missed.
    last_slot_at = models.DateTimeField(_("last slot"), null=True, blank=True)
    # Slots up to here are not owed: the moment of the last retime, resume or creation.
    effective_from = models.DateTimeField(_("in force since"), default=clock.now)
    # What decides the fire times (timing.Timing), to notice an edit however it was made.
    timing = models.TextField(_("timing"), blank=True)
    # The first slot that is not dealt with: computed from the above, kept so that a tick need not look at all
    # schedules. Null: it never fires, or not now.
    next_slot_at = models.DateTimeField(_("next slot"), null=True, blank=True)

    class Meta:
        verbose_name = _("schedule control")
        verbose_name_plural = _("schedule controls")
        constraints = [
            models.CheckConstraint(
                name="schedulecontrol_misfire_known",
                condition=Q(misfire_policy__in=["skip", "run_once", "run_all"]),
            ),
            models.CheckConstraint(
                name="schedulecontrol_overlap_known", condition=Q(overlap_policy__in=["skip", "queue_one"])
            ),
            models.CheckConstraint(
                name="schedulecontrol_misfire_limit_from_1", condition=Q(misfire_limit__gte=1)
            ),
            models.CheckConstraint(
                name="schedulecontrol_pause_has_reason",
                condition=Q(paused_at__isnull=True, pause_reason="", paused_until__isnull=True)
                | (Q(paused_at__isnull=False) & ~Q(pause_reason="")),
            ),
        ]
        indexes = [
            # every tick: WHERE next_slot_at <= now ORDER BY next_slot_at
            models.Index(
                fields=["next_slot_at"],
                name="schedulecontrol_next_slot",
                condition=Q(next_slot_at__isnull=False),
            ),
            # recovery, every two seconds: pauses that have ended
            models.Index(
                fields=["paused_until"],
                name="schedulecontrol_paused_until",
                condition=Q(paused_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.schedule)

    @property
    def settled_until(self) -> datetime:
        """The moment up to which no slot is owed any more."""
        if self.last_slot_at is None:
            return self.effective_from
        return max(self.last_slot_at, self.effective_from)


class RetentionPolicy(models.Model):
    """For how many days a job keeps what it would delete; operators own it."""

    job = models.CharField(_("job"), max_length=100, unique=True)
    days = models.PositiveIntegerField(
        _("days"), validators=[MinValueValidator(1), MaxValueValidator(36_500)]
    )
    keeps_live_threads = models.BooleanField(
        _("keep a thread while it is alive"),
        default=False,
        db_default=False,
        help_text=_("A post is then as old as its newest stored comment, also where an override counts."),
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("changed by"),
    )

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retentions")
        ordering = ["job"]
        constraints = [
            models.CheckConstraint(
                name="retentionpolicy_days_1_to_36500", condition=Q(days__range=(1, 36_500))
            ),
        ]

    def __str__(self) -> str:
        return self.job


class RetentionOverride(models.Model):
    """Other days than the policy's, for what is of one subreddit or was first found by one bot."""

    policy = models.ForeignKey(
        RetentionPolicy, on_delete=models.CASCADE, related_name="overrides", verbose_name=_("retention")
    )
    subreddit = models.CharField(_("subreddit"), max_length=50, blank=True)
    # Protected: deleting a bot must not shorten, unseen, for how long its posts are kept.
    config = models.ForeignKey(
        "scraping.BotConfig",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("bot"),
    )
    days = models.PositiveIntegerField(
        _("days"), validators=[MinValueValidator(1), MaxValueValidator(36_500)]
    )

    class Meta:
        verbose_name = _("retention override")
        verbose_name_plural = _("retention overrides")
        ordering = ["subreddit", "config"]
        default_permissions = ()  # who may change the retention may change its overrides
        constraints = [
            models.CheckConstraint(
                name="retentionoverride_one_target",
                condition=(~Q(subreddit="") & Q(config__isnull=True)) | Q(subreddit="", config__isnull=False),
            ),
            models.CheckConstraint(
                name="retentionoverride_days_1_to_36500", condition=Q(days__range=(1, 36_500))
            ),
            # Reddit's names are the same however they are capitalised.
            models.UniqueConstraint(
                "policy",
                Folded("subreddit"),
                condition=~Q(subreddit=""),
                name="retentionoverride_subreddit_once",
            ),
            models.UniqueConstraint(fields=["policy", "config"], name="retentionoverride_config_once"),
        ]

    def __str__(self) -> str:
        return f"r/{self.subreddit}" if self.subreddit else str(self.config)


class BeatLease(models.Model):
    """The single row that says which scheduler ticks; its times are the database's clock."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    holder = models.CharField(_("holder"), max_length=200, blank=True)
    # Grows at every change of holder; a write that shows an older fence is refused.
    fence = models.BigIntegerField(_("fencing token"), default=0)
    expires_at = models.DateTimeField(_("expires"))
    acquired_at = models.DateTimeField(_("held since"), null=True, blank=True)
    ticked_at = models.DateTimeField(_("last tick"), null=True, blank=True)
    # How late the latest slots were ticked: the oldest of them, in seconds.
    lag_seconds = models.FloatField(_("lag"), null=True, blank=True)

    class Meta:
        verbose_name = _("scheduler lease")
        verbose_name_plural = _("scheduler leases")
        constraints = [models.CheckConstraint(name="beatlease_single_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.holder or "–"


class BeatProcess(models.Model):
    """A scheduler that is alive, leading or standing by; ``seen_at`` is the database's clock."""

    holder = models.CharField(_("holder"), max_length=200, primary_key=True)
    started_at = models.DateTimeField(_("started"), default=clock.now)
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("scheduler")
        verbose_name_plural = _("schedulers")
        ordering = ["holder"]

    def __str__(self) -> str:
        return self.holder


class WorkerProcess(models.Model):
    """A worker that is alive, and what it does; its times are the database's clock."""

    name = models.CharField(_("name"), max_length=200, primary_key=True)
    pid = models.PositiveIntegerField(_("process"), default=0)
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last seen"))
    # When its event loop last turned, so that it could take a message; null: not yet.
    listening_at = models.DateTimeField(_("last listening"), null=True, blank=True)
    # When a process of its pool last took a message; null: not yet.
    taken_at = models.DateTimeField(_("last took a run"), null=True, blank=True)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class MaintenanceModeQuerySet(models.QuerySet["MaintenanceMode"]):
    """States of the switch."""

    def on(self) -> Self:
        """Return the row while nothing scheduled may start."""
        return self.filter(started_at__isnull=False, ended_at__isnull=True)


class MaintenanceMode(models.Model):
    """The single row of the global switch: while it is on, nothing scheduled starts; manual runs still may.

    The row remembers its latest period, by which the slots that passed in it are told from missed ones.
    """

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    started_at = models.DateTimeField(_("on since"), null=True, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("switched on by"),
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = MaintenanceModeQuerySet.as_manager()

    class Meta:
        verbose_name = _("maintenance mode")
        verbose_name_plural = _("maintenance mode")
        constraints = [
            models.CheckConstraint(name="maintenancemode_single_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="maintenancemode_has_reason", condition=Q(started_at__isnull=True) | ~Q(reason="")
            ),
            models.CheckConstraint(
                name="maintenancemode_ends_after_start",
                condition=Q(ended_at__isnull=True)
                | Q(started_at__isnull=False, ended_at__gte=F("started_at")),
            ),
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @property
    def is_on(self) -> bool:
        """Whether nothing scheduled may start now."""
        return self.started_at is not None and self.ended_at is None

    def covers(self, slot: datetime) -> bool:
        """Whether the slot, which has passed, did so in the latest period; one at its very end starts again."""
        return (
            self.started_at is not None
            and self.started_at < slot
            and (self.ended_at is None or slot < self.ended_at)
        )
