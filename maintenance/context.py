"""The context that a job function gets: its run, its cutoff, and methods to report, stop, save and delete."""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.db import Error, connection, models

from database import clock
from database.messages import gettext as _
from database.messages import joined
from maintenance.models import JobRun, RetentionOverride, RunLogLine
from maintenance.purging.days import Retention
from maintenance.purging.deletion import Deletion
from maintenance.purging.facts import Facts
from maintenance.purging.interface import Condition, DeletionRules, Trace
from maintenance.purging.mandate import Mandate
from maintenance.purging.plan import TablePlan
from maintenance.purging.run_plan import RunPlan
from maintenance.stops import CancelRun, HandBack, LostClaim, SkipRun

logger = logging.getLogger(__name__)

# Progress is written at most this often, however often a job reports.
PROGRESS_SECONDS = 0.5
LOG_LINES_MAX = 2_000

Listener = Callable[[int, int | None, str], None]


def never() -> bool:
    """Return False: this run is never asked to stop."""
    return False


class JobContext:
    """The context of one execution; without a run it only plans, and writes nothing.

    It satisfies ``scraping.progress.Progress`` (``report``, ``log``, ``checkpoint``).
    """

    def __init__(
        self,
        *,
        run: JobRun | None,
        params: Mapping[str, Any],
        rules: DeletionRules | None = None,
        retention: Retention | None = None,
        dry_run: bool,
        stopping: Callable[[], bool] = never,
        listener: Listener | None = None,
        hands_on_after: timedelta | None = None,
        keeps_its_place: bool = False,
        on_plan: Callable[[JobRun], None] | None = None,
    ) -> None:
        self.run, self.params, self.dry_run = run, params, dry_run
        self.rules = rules
        self.retention = rules.read_retention() if rules else retention
        # An approved run continues with the counts from before it was blocked.
        self.counts: Counter[str] = Counter(run.counts if run else {})
        self.message = ""
        self.is_partial, self.is_transient = False, False
        # Whether the counts may include batches that were rolled back; the row has the right counts.
        self.is_in_doubt = False
        self._cursor: dict[str, Any] = dict(run.cursor or {}) if run else {}
        self.now = _moment_of(run, self._cursor)
        self.plan = RunPlan(run, now=self.now, retention=self.retention, is_dry_run=dry_run, on_made=on_plan)
        self._deletions = 0
        # The committed counts, cursor and progress.
        self.note_commit()
        self.is_stopping = stopping
        self._listener = listener
        # See registry.Job.
        self._keeps_its_place = keeps_its_place
        # The time of the job's last checkpoint, by the monotonic clock.
        self.checked_at = time.monotonic()
        self._hands_on_at = self.checked_at + hands_on_after.total_seconds() if hands_on_after else None
        self._cancelled, self._lost = threading.Event(), threading.Event()
        # A job may work in several threads that all report.
        self._saving = threading.RLock()
        self._log_lines = 0
        self._reported_at = 0.0

    @property
    def cutoff(self) -> datetime:
        """The moment before which rows are old: now minus the retention."""
        assert self.retention is not None, "the job declares no retention_days"
        return self.now - timedelta(days=self.retention.days)

    @property
    def overrides(self) -> Sequence[RetentionOverride]:
        """The overrides: subreddits and bots with their own number of days."""
        return self.retention.overrides if self.retention else ()

    @property
    def keeps_live_threads(self) -> bool:
        """Whether a post is as old as its newest comment."""
        return self.retention is not None and self.retention.keeps_live_threads

    def cutoff_of(self, override: RetentionOverride) -> datetime:
        """Return the cutoff of an override."""
        return self.now - timedelta(days=override.days)

    @property
    def cursor(self) -> Mapping[str, Any]:
        """What earlier attempts saved."""
        return self._cursor

    @property
    def run_id(self) -> int | None:
        """The run's id; None in a preview."""
        return self.run.pk if self.run else None

    # --- Reporting ---------------------------------------------------------------------------

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Show progress: ``done`` of ``total`` units (rows, configs), described by ``stage``."""
        self._note_place(done)
        self._show_and_save(done, total, stage)

    def report_part(self, done: int, *, whole: int, total: int, stage: str) -> None:
        """Show ``done`` units of one part; ``whole`` of the job's ``total`` parts are done."""
        self._note_place(done)
        self._show_and_save(whole, total, stage)

    def _note_place(self, done: int) -> None:
        """Count the reports of a job that stores its position elsewhere, so that the cursor shows progress."""
        if self._keeps_its_place and done and self.run is not None:
            with self._saving:
                self._cursor["reports"] = self._cursor.get("reports", 0) + 1

    def _show_and_save(self, done: int, total: int | None, stage: str) -> None:
        self.show(done, total, stage)
        if self.run is None:
            return
        self.run.progress_done, self.run.progress_total, self.run.stage = done, total, stage
        if time.monotonic() - self._reported_at >= PROGRESS_SECONDS:
            self._save()

    def show(self, done: int, total: int | None, stage: str) -> None:
        """Report to the listener, such as a progress bar; saves nothing."""
        if self._listener:
            self._listener(done, total, stage)

    def within(self, done: int, total: int, name: str) -> "Part":
        """Return a Progress for one part of the work; its progress is shown as the stage of the whole."""
        return Part(self, done, total, name)

    def log(self, text: str, level: str = "info") -> None:
        """Write a line to the run's log; after 2,000 lines the rest is dropped, and the last line says so."""
        logger.log(logging.getLevelName(level.upper()), "%s: %s", self.run or "plan", text)
        if self.run is None:
            return
        self._log_lines += 1
        if self._log_lines > LOG_LINES_MAX:
            return
        if self._log_lines == LOG_LINES_MAX:
            level = "warning"
            text = _("The log ends here: it keeps %(number)s lines of a run.") % {"number": LOG_LINES_MAX}
        RunLogLine.objects.create(run=self.run, level=level, text=text)

    def count(self, name: str, number: int = 1) -> None:
        """Add to the run's counts."""
        self.counts[name] += number

    def partial(self, message: str, *, is_transient: bool = False) -> None:
        """Note that some of the work failed: the run ends PARTIAL; see JobFailed."""
        self.is_partial = True
        self.is_transient |= is_transient
        self.message = message

    # --- Stopping --------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Raise StopRun if the run was cancelled, lost or handed back. Call it between batches."""
        self.checked_at = time.monotonic()
        if self._lost.is_set():
            raise LostClaim
        if self._cancelled.is_set():
            raise CancelRun
        if self.is_stopping():
            raise HandBack(JobRun.Reason.WORKER_STOPPED)
        if self._hands_on_at is not None and self.checked_at >= self._hands_on_at:
            raise HandBack(JobRun.Reason.HANDED_ON)

    def cancel(self) -> None:
        """Let the next checkpoint end the run as cancelled."""
        self._cancelled.set()

    def lose(self) -> None:
        """Let the next checkpoint end the work: this worker no longer owns the run."""
        self._lost.set()

    @property
    def is_lost(self) -> bool:
        """Whether another process decides how this run ends."""
        return self._lost.is_set()

    def hand_back(self, *, until: datetime, message: str) -> NoReturn:
        """End this attempt; the next one begins after ``until`` and does not count as the retry of a failure."""
        self.message = message
        raise HandBack(JobRun.Reason.WAITS, until=until)

    def skip(self, message: str) -> None:
        """End the run as SKIPPED."""
        self.message = message
        raise SkipRun

    # --- Saving ----------------------------------------------------------------------------

    def save_cursor(self, **values: Any) -> None:
        """Save how far the work is; the next attempt finds it in ``cursor``."""
        with self._saving:
            self._cursor.update(values, now=self.now.isoformat())
            self._save()

    def reread(self) -> None:
        """Read the run's state from the row again, after a transaction that saved it has failed.

        That is the cursor; also the counts and the progress, if a deletion could not read them itself.
        """
        assert self.run is not None
        row = JobRun.objects.values("counts", "cursor", "progress_done").filter(pk=self.run.pk).first()
        if row is None:
            return
        self._cursor = dict(row["cursor"] or {})
        if self.is_in_doubt:
            self.counts, self.run.progress_done = Counter(row["counts"]), row["progress_done"]
            self.is_in_doubt = False

    def _save(self) -> None:
        if self.run is None:
            return
        with self._saving:
            self._reported_at = time.monotonic()
            kept = self.run.record(
                progress_done=self.run.progress_done,
                progress_total=self.run.progress_total,
                stage=self.run.stage,
                counts=dict(self.counts),
                cursor=self._cursor or None,
            )
        if not kept:
            self.lose_claim()

    def lose_claim(self) -> NoReturn:
        """Stop, because another process owns the run."""
        self._lost.set()
        raise LostClaim

    # --- Deleting --------------------------------------------------------------------------

    def delete(
        self,
        queryset: models.QuerySet[Any],
        *,
        by: str,
        held: models.QuerySet[Any] | None = None,
        facts: Facts | None = None,
        has_relative_caps: bool = True,
        is_indexed: bool = True,
        trace: Trace | None = None,
    ) -> None:
        """Delete the rows and what the database cascades from them; a dry run only plans.

        Args:
            queryset: what to delete, by conditions on its own table.
            by: its time field; the plan counts by its months.
            held: rows that are old enough but kept by a hold, for the plan.
            facts: what the job knows about these rows, for the plan.
            has_relative_caps: False where deleting many of these rows at once is no sign of an error.
            is_indexed: False where ``by`` has no index: the whole table is read.
            trace: records which rows were deleted.

        Raises:
            JobFailed: this host's clock is wrong.
        """
        self._carry_out(Condition(queryset, by, held, facts or Facts(), has_relative_caps, is_indexed, trace))

    def _carry_out(self, condition: Condition) -> None:
        number, self._deletions = self._deletions, self._deletions + 1
        Deletion(self, condition, number=number).carry_out()

    def conditions_under(self, retention: Retention) -> list[Condition]:
        """Return what the job would delete now under this retention."""
        assert self.rules is not None
        return conditions(self.rules.function, retention, now=self.now)

    def keep_plan(self, tables: list[TablePlan]) -> None:
        """Add these tables to the run's plan, or replace what it has of them."""
        if not self.plan.keep(tables):
            self.lose_claim()

    def note_commit(self) -> None:
        """Remember the current counts, cursor and progress as those that the row has."""
        done = self.run.progress_done if self.run else 0
        self._committed = Counter(self.counts), dict(self._cursor), done

    def take_back(self) -> None:
        """Restore what note_commit() remembered: the database has rolled back later changes."""
        assert self.run is not None
        counts, cursor, self.run.progress_done = self._committed
        self.counts, self._cursor = Counter(counts), dict(cursor)

    def forget_what_was_rolled_back(self) -> None:
        """Read counts and cursor from the row, which was written in the transactions that deleted the rows."""
        assert self.run is not None
        connection.close()  # the connection may be in an unfinished statement or transaction
        # The database may not answer now, and after a crash it may have lost the last batches.
        self.counts, self._cursor, self.run.progress_done = self._committed
        self.is_in_doubt = True
        with contextlib.suppress(Error):
            self.reread()


def _moment_of(run: JobRun | None, cursor: Mapping[str, Any]) -> datetime:
    """Return the moment that the cutoffs are counted from, by the database's clock.

    All attempts of a run use the moment of the first: rows that became old since are left to the next run. If a person
    saw a plan, the moment of that plan is used. It is never later than now: the clock may have been ahead.
    """
    now = clock.now()
    mandate = Mandate.from_json(run.mandate) if run else None
    counted_at = mandate.now if mandate and mandate.is_valid(now) else None
    return min(now, datetime.fromisoformat(cursor.get("now") or counted_at or now.isoformat()))


class _Collector(JobContext):
    """Collects what a job would delete instead of deleting it."""

    def __init__(self, retention: Retention, now: datetime) -> None:
        super().__init__(run=None, params={}, retention=retention, dry_run=True)
        self.now = now
        self.found: list[Condition] = []

    def _carry_out(self, condition: Condition) -> None:
        self.found.append(condition)


def conditions(function: Callable[[Any], None], retention: Retention, *, now: datetime) -> list[Condition]:
    """Return what a job would delete under this retention, by calling the job's function as in a run."""
    collector = _Collector(retention, now)
    function(collector)
    return collector.found


class Part:
    """One part of a run's work, such as one bot of many; satisfies ``scraping.progress.Progress``."""

    def __init__(self, whole: JobContext, done: int, total: int, name: str) -> None:
        self._whole, self._done, self._total, self._name = whole, done, total, name

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Show the part's progress as text; the bar shows the whole."""
        of = f" {done}/{total}" if total else ""
        text = joined([f"{self._name}: ", stage, of], by="")
        self._whole.report_part(done, whole=self._done, total=self._total, stage=text)

    def log(self, text: str, level: str = "info") -> None:
        """Write a log line that names the part."""
        self._whole.log(joined([f"{self._name}:", text]), level)

    def checkpoint(self) -> None:
        """See JobContext.checkpoint."""
        self._whole.checkpoint()
