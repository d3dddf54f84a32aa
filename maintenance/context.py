"""What a job function gets: its run, its cutoff, and the ways to report, stop, save and delete."""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import Error, connection, models
from django.utils import timezone
from django.utils.translation import gettext as _

from maintenance import purge
from maintenance.models import JobRun, RunLogLine

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
# How soon a cancel is noticed; one small SELECT each.
CANCEL_POLL_SECONDS = 1.0
# Progress is written at most this often, however often a job reports.
PROGRESS_SECONDS = 0.5
LOG_LINES_MAX = 2_000

Listener = Callable[[int, int | None, str], None]


class StopRun(BaseException):
    """The run must stop now. Not an Exception, so that no job swallows it by ``except Exception``."""


class CancelRun(StopRun):
    """An operator cancelled the run."""


class HandBack(StopRun):
    """The worker is stopping: save the cursor, another attempt goes on."""


class LostClaim(StopRun):
    """Recovery gave the run to somebody else: write nothing more."""


class BlockRun(StopRun):
    """The safety cap was reached; a person must approve."""


class SkipRun(StopRun):
    """There is nothing this run may do now."""


class JobFailed(Exception):
    """The job could not do its work, and the message says why; no traceback is kept."""


def never() -> bool:
    """Return False: nobody asks this run to stop."""
    return False


class JobContext:
    """The surroundings of one execution; without a run it plans and writes nothing.

    It satisfies ``scraping.progress.Progress`` (``report``, ``log``, ``checkpoint``).
    """

    def __init__(
        self,
        *,
        run: JobRun | None,
        params: Mapping[str, Any],
        retention_days: int | None,
        dry_run: bool,
        stopping: Callable[[], bool] = never,
        listener: Listener | None = None,
    ) -> None:
        self.run = run
        self.params = params
        self.dry_run = dry_run
        self.retention_days: int | None = params.get("days", retention_days)
        self.counts: Counter[str] = Counter()
        self.plan: list[purge.PlanRow] = []
        self.message = ""
        self.is_partial = False
        self._cursor: dict[str, Any] = dict(run.cursor or {}) if run else {}
        # All attempts of a run share the moment of the first: what became old since is the next run's work.
        self.now = datetime.fromisoformat(self._cursor.get("now") or timezone.now().isoformat())
        self._stopping = stopping
        self._listener = listener
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._log_lines = 0
        self._reported_at = 0.0

    @property
    def cutoff(self) -> datetime:
        """The moment before which things are old: now less the retention."""
        assert self.retention_days is not None, "the job declares no retention_days"
        return self.now - timedelta(days=self.retention_days)

    @property
    def cursor(self) -> Mapping[str, Any]:
        """What earlier attempts saved."""
        return self._cursor

    @property
    def run_id(self) -> int | None:
        """The run's id; None in a preview."""
        return self.run.pk if self.run else None

    # --- Telling ---------------------------------------------------------------------------

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Show progress: ``done`` of ``total`` units (rows, configs), in words ``stage``."""
        if self._listener:
            self._listener(done, total, stage)
        if self.run is None:
            return
        self.run.progress_done, self.run.progress_total, self.run.stage = done, total, stage[:200]
        if time.monotonic() - self._reported_at >= PROGRESS_SECONDS:
            self._save()

    def within(self, done: int, total: int, name: str) -> "Part":
        """Return a Progress for one part of the work: its own progress shows as the stage of the whole."""
        return Part(self, done, total, name)

    def log(self, text: str, level: str = "info") -> None:
        """Write a line of the run's log; from the 2,000th on, lines are dropped and the last one says so."""
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

    def partial(self, message: str) -> None:
        """Note that a part of the work failed: the run ends PARTIAL."""
        self.is_partial = True
        self.message = message

    # --- Stopping --------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Raise StopRun if the run was cancelled, lost, or its worker is stopping. Call it between batches."""
        if self._lost.is_set():
            raise LostClaim
        if self._cancelled.is_set():
            raise CancelRun
        if self._stopping():
            raise HandBack

    def skip(self, message: str) -> None:
        """End the run as SKIPPED."""
        self.message = message
        raise SkipRun

    # --- Saving ----------------------------------------------------------------------------

    def save_cursor(self, **values: Any) -> None:
        """Remember how far the work is; a next attempt finds it in ``cursor``."""
        self._cursor.update(values, now=self.now.isoformat())
        self._save()

    def _save(self) -> None:
        if self.run is None:
            return
        self._reported_at = time.monotonic()
        kept = self.run.record(
            progress_done=self.run.progress_done,
            progress_total=self.run.progress_total,
            stage=self.run.stage,
            counts=dict(self.counts),
            cursor=self._cursor or None,
        )
        if not kept:
            self._lost.set()
            raise LostClaim

    # --- Deleting --------------------------------------------------------------------------

    def delete(self, queryset: models.QuerySet[Any], *, by: str) -> None:
        """Delete the rows and what the database cascades from them; a dry run only counts.

        Args:
            queryset: what to delete.
            by: its indexed time field; batches walk along it.
        """
        rows = purge.plan(queryset, cutoff=self.cutoff if self.retention_days is not None else None)
        self.plan += rows
        if self.dry_run or self.run is None:
            for row in rows:
                self.count(row.model, row.rows)
                self.log(
                    _("%(rows)s of %(total)s %(table)s would be deleted")
                    % {"rows": row.rows, "total": row.total, "table": row.verbose_name}
                )
            return
        planned = sum(row.rows for row in rows)
        self._refuse_above_cap(planned)
        for row in rows:
            self.count(row.model, 0)  # "0 comments" is an answer too
        left = self._delete(queryset, by=by, planned=planned)
        if left:
            self.partial(
                _("%(rows)s %(table)s that should be gone are still there.")
                % {"rows": left, "table": rows[0].verbose_name}
            )
            self.log(self.message, "warning")

    def _forget_what_was_rolled_back(self) -> None:
        """Take counts and cursor from the row: it changed together with the rows that were deleted."""
        assert self.run is not None
        connection.close()  # it may be in the middle of anything
        with contextlib.suppress(Error):  # away: then nobody can write them either
            row = JobRun.objects.values("counts", "cursor", "progress_done").get(pk=self.run.pk)
            self.counts, self._cursor = Counter(row["counts"]), dict(row["cursor"] or {})
            self.run.progress_done = row["progress_done"]

    def _refuse_above_cap(self, planned: int) -> None:
        if planned > settings.PURGE_CAP_ROWS and not self.params.get("approved"):
            self.message = _(
                "%(rows)s rows would be deleted, more than the %(cap)s of PURGE_CAP_ROWS. None of them was:"
                " look at the counts, then approve or reject."
            ) % {"rows": planned, "cap": settings.PURGE_CAP_ROWS}
            raise BlockRun

    def _delete(self, queryset: models.QuerySet[Any], *, by: str, planned: int) -> int:
        """Delete, and return how many rows are left all the same."""
        run = self.run
        assert run is not None
        label, name = queryset.model._meta.label, str(queryset.model._meta.verbose_name_plural)
        counted, before = Counter(self.counts), run.progress_done
        goal = (run.progress_total or 0) + planned
        left = 0

        def save(gone: Counter[str], cursor: list[Any]) -> None:
            self.counts = Counter(counted)
            self.counts.update(gone)
            run.progress_done, run.progress_total, run.stage = before + gone.total(), goal, name
            self.save_cursor(**{label: cursor})

        def between(gone: Counter[str]) -> None:
            if self._listener:
                self._listener(before + gone.total(), goal, name)
            self.checkpoint()

        # Rows that the walk had passed when they came (a scrape of old posts) are taken by a second one.
        for cursor in (self._cursor.get(label), None):
            try:
                gone = purge.delete_in_batches(queryset, key=by, cursor=cursor, save=save, between=between)
            except BaseException:
                self._forget_what_was_rolled_back()
                raise
            counted.update(gone)
            before += gone.total()
            self.log(
                _("deleted %(rows)s %(table)s; %(all)s rows with what belongs to them")
                % {"rows": gone[label], "table": name, "all": gone.total()}
            )
            left = queryset.count()
            if not left:
                break
        return left


class Part:
    """One part of a run's work, such as one bot of many; satisfies ``scraping.progress.Progress``."""

    def __init__(self, whole: JobContext, done: int, total: int, name: str) -> None:
        self._whole, self._done, self._total, self._name = whole, done, total, name

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Show the part's progress as words; the bar is the whole's."""
        of = f" {done}/{total}" if total else ""
        self._whole.report(self._done, self._total, f"{self._name}: {stage}{of}")

    def log(self, text: str, level: str = "info") -> None:
        """Write a line that names the part."""
        self._whole.log(f"{self._name}: {text}", level)

    def checkpoint(self) -> None:
        """See JobContext.checkpoint."""
        self._whole.checkpoint()


class Heartbeat:
    """A thread that tells the ledger the run is alive, and tells the run when it was cancelled or lost.

    A thread, because a job may sit in one long request or statement; recovery would take it for dead.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        run, context = self._context.run, self._context
        assert run is not None
        mine = JobRun.objects.running().filter(pk=run.pk, worker=run.worker)
        beat_at = time.monotonic() + HEARTBEAT_SECONDS
        try:
            while not self._ended.wait(CANCEL_POLL_SECONDS):
                try:
                    if time.monotonic() >= beat_at:
                        beat_at = time.monotonic() + HEARTBEAT_SECONDS
                        run.beat()
                    row = mine.values("cancel_requested_at").first()
                    if row is None:
                        context._lost.set()
                    elif row["cancel_requested_at"]:
                        context._cancelled.set()
                except Error:
                    # The database is away: the job itself will meet that, or it comes back first.
                    logger.warning("Heartbeat of %s failed.", run, exc_info=True)
                    connection.close()
        finally:
            connection.close()
