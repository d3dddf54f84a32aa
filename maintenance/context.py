"""What a job function gets: its run, its cutoff, and the ways to report, stop, save and delete."""

import contextlib
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, NoReturn, Self

from django.apps import apps
from django.conf import settings
from django.db import Error, OperationalError, connection, models
from django.template.defaultfilters import filesizeformat
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from database import clock
from database.footprint import Footprint, analyze, footprint, is_underestimated
from database.parallel import without_parallel_workers
from maintenance import purge
from maintenance.cap import APPROVAL_TOLERANCE, refusals
from maintenance.models import JobRun, RetentionOverride, RunLogLine
from maintenance.plan import TablePlan, differences, plan_deletion

logger = logging.getLogger(__name__)

# How soon a cancel is noticed; one small SELECT each.
CANCEL_POLL_SECONDS = 1.0
# Progress is written at most this often, however often a job reports.
PROGRESS_SECONDS = 0.5
LOG_LINES_MAX = 2_000
# From so many deleted rows on, the planner's statistics of a table are renewed.
ANALYZE_ROWS_MIN = 10_000
# So many purges in a row that left rows over mean that rows become due faster than they go.
LOSING_RUNS = 3

Listener = Callable[[int, int | None, str], None]


class StopRun(BaseException):
    """The run must stop now. Not an Exception, so that no job swallows it by ``except Exception``."""


class CancelRun(StopRun):
    """An operator cancelled the run."""


class HandBack(StopRun):
    """Save the cursor, another attempt goes on: the worker is stopping, or nothing can be done before ``until``."""

    def __init__(self, until: datetime | None = None) -> None:
        super().__init__(until)
        self.until = until


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
        overrides: Sequence[RetentionOverride] = (),
        dry_run: bool,
        stopping: Callable[[], bool] = never,
        listener: Listener | None = None,
    ) -> None:
        self.run = run
        self.params = params
        self.dry_run = dry_run
        self.retention_days: int | None = params.get("days", retention_days)
        # They stand beside ``days`` too: whoever asked for one run of fewer days did not undo them.
        self.overrides = overrides
        # An approved run goes on with what it had counted before it was blocked.
        self.counts: Counter[str] = Counter(run.counts if run else {})
        kept = (run.plan or {}).get("tables", []) if run else []
        self.plan: list[TablePlan] = [TablePlan.from_json(table) for table in kept]
        self.message = ""
        self.is_partial = False
        self._cursor: dict[str, Any] = dict(run.cursor or {}) if run else {}
        # The database's clock. All attempts of a run share the moment of the first: what became old since is the
        # next run's work. Unless that clock was ahead then.
        now = clock.now()
        self.now = min(now, datetime.fromisoformat(self._cursor.get("now") or now.isoformat()))
        # What the row says, as far as a purge knows: counts, cursor and progress.
        self._committed = Counter(self.counts), dict(self._cursor), run.progress_done if run else 0
        self._stopping = stopping
        self._listener = listener
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        # A job may work in several threads, each of which reports.
        self._saving = threading.RLock()
        self._log_lines = 0
        self._reported_at = 0.0

    @property
    def cutoff(self) -> datetime:
        """The moment before which things are old: now less the retention."""
        assert self.retention_days is not None, "the job declares no retention_days"
        return self.now - timedelta(days=self.retention_days)

    def cutoff_of(self, override: RetentionOverride) -> datetime:
        """Return the cutoff of a subreddit or bot with days of its own."""
        return self.now - timedelta(days=override.days)

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

    def hand_back(self, *, until: datetime, message: str) -> NoReturn:
        """End this attempt; the next one, which is no retry of a failure, begins after ``until``."""
        self.message = message
        raise HandBack(until)

    def skip(self, message: str) -> None:
        """End the run as SKIPPED."""
        self.message = message
        raise SkipRun

    # --- Saving ----------------------------------------------------------------------------

    def save_cursor(self, **values: Any) -> None:
        """Remember how far the work is; a next attempt finds it in ``cursor``."""
        with self._saving:
            self._cursor.update(values, now=self.now.isoformat())
            self._save()

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
            self._lost.set()
            raise LostClaim

    # --- Deleting --------------------------------------------------------------------------

    def delete(
        self,
        queryset: models.QuerySet[Any],
        *,
        by: str,
        held: models.QuerySet[Any] | None = None,
    ) -> None:
        """Delete the rows and what the database cascades from them; a dry run only plans.

        Args:
            queryset: what to delete, by conditions on its own table.
            by: its indexed time field; the plan counts by its months.
            held: rows old enough that stay because of a hold, for the plan.

        Raises:
            JobFailed: this host's clock is wrong.
        """
        self._refuse_skew()
        if self.dry_run or self.run is None:
            for table in self._make_plan(queryset, by=by, held=held):
                self.count(table.model, table.rows)
                self.log(
                    _("%(rows)s of %(total)s %(table)s would be deleted")
                    % {"rows": table.rows, "total": table.total, "table": table.verbose_name}
                )
            return
        tables = self._plan_of(queryset)
        # An attempt that resumes goes on with the plan of the first; unless the retention was edited meanwhile.
        gone = self._gone_in_earlier_attempts(tables) if tables else Counter[str]()
        if tables and self._is_more_than_planned(queryset, tables[0], gone):
            self.log(_("More would be deleted than was planned at first: it is planned again."), "warning")
            tables, gone = None, Counter()
        if tables is None:
            tables = self._make_plan(queryset, by=by, held=held)
            for difference in differences(self.run.expected, tables):
                self.log(str(difference))
            self._refuse_above_cap(tables, queryset.db)
        for table in tables:
            self.count(table.model, 0)  # "0 comments" is an answer too
        # Else each window would be looked for in the index, among all the rows that go.
        if is_underestimated(queryset, tables[0].rows):
            self._analyze(tables[:1], queryset.db)
        before = self._footprints(tables, queryset.db)
        goal = max(0, sum(table.rows for table in tables) - gone.total())
        left = self._delete(queryset, by=by, tables=tables, goal=goal)
        self._keep_plan([replace(tables[0], left=left), *tables[1:]])
        self._report_footprints(tables, before, queryset.db)
        if left:
            self._tell_what_is_left(tables[0], left)

    def _refuse_skew(self) -> None:
        """Delete nothing on a host whose clock is wrong: what else it believes may be wrong too."""
        try:
            clock.refuse_skew()
        except clock.ClockSkew as skew:
            text = _(
                "The clock of host %(name)s is wrong: it shows %(host)s, the database's %(database)s."
                " Nothing was deleted. Set the host's clock, such as by NTP, and run again."
            ) % {
                "name": socket.gethostname(),
                "host": f"{skew.host:%Y-%m-%d %H:%M:%S} UTC",
                "database": f"{skew.database:%Y-%m-%d %H:%M:%S} UTC",
            }
            if self.dry_run or self.run is None:
                # The plan is right all the same: it is made by the database's clock.
                self.log(text, "warning")
            else:
                raise JobFailed(text) from None

    def _plan_of(self, queryset: models.QuerySet[Any]) -> list[TablePlan] | None:
        """Return the plan by which an earlier attempt has deleted rows of this table already."""
        label = queryset.model._meta.label
        if label not in self._cursor:
            return None
        return [table for table in self.plan if label in (table.model, table.cascaded_from)] or None

    def _make_plan(
        self, queryset: models.QuerySet[Any], *, by: str, held: models.QuerySet[Any] | None
    ) -> list[TablePlan]:
        cutoff = self.cutoff if self.retention_days is not None else None
        tables = plan_deletion(queryset, key=by, cutoff=cutoff, held=held)
        self._keep_plan(tables)
        return tables

    def _keep_plan(self, tables: list[TablePlan]) -> None:
        """Put these tables into the run's plan, in place of what it says of them."""
        labels = {table.model for table in tables}
        self.plan = [table for table in self.plan if table.model not in labels] + tables
        if self.run is None:
            return
        plan = {"at": clock.now().isoformat(), "tables": [table.as_json() for table in self.plan]}
        if not self.run.record(plan=plan):
            self._lost.set()
            raise LostClaim

    def _forget_what_was_rolled_back(self) -> None:
        """Take counts and cursor from the row: it changed together with the rows that were deleted."""
        assert self.run is not None
        connection.close()  # it may be in the middle of anything
        # Should the database be away now, and there again when the run's end is written.
        self.counts, self._cursor, self.run.progress_done = self._committed
        with contextlib.suppress(Error):
            row = JobRun.objects.values("counts", "cursor", "progress_done").get(pk=self.run.pk)
            self.counts, self._cursor = Counter(row["counts"]), dict(row["cursor"] or {})
            self.run.progress_done = row["progress_done"]

    def _refuse_above_cap(self, tables: list[TablePlan], using: str) -> None:
        assert self.run is not None
        reasons = refusals(self.run.job, tables, approval=self.run.approval, using=using)
        if reasons:
            last = _("None of these %(table)s was deleted: look at the plan, then approve or reject.")
            self.message = " ".join([*reasons, last % {"table": tables[0].verbose_name}])
            raise BlockRun

    def _delete(self, queryset: models.QuerySet[Any], *, by: str, tables: list[TablePlan], goal: int) -> int:
        """Delete about ``goal`` rows, and return how many rows of the first table are left all the same."""
        run = self.run
        assert run is not None
        label, name = queryset.model._meta.label, str(queryset.model._meta.verbose_name_plural)
        counted, before = Counter(self.counts), run.progress_done
        goal += run.progress_total or 0
        total = tables[0].total
        left = tables[0].rows

        def save(gone: Counter[str], cursor: purge.Cursor) -> None:
            self.counts = Counter(counted)
            self.counts.update(gone)
            run.progress_done, run.progress_total, run.stage = before + gone.total(), goal, name
            self.save_cursor(**{label: cursor})

        def between(gone: Counter[str]) -> None:
            self._committed = Counter(self.counts), dict(self._cursor), run.progress_done
            if self._listener:
                self._listener(before + gone.total(), goal, name)
            self.checkpoint()

        # Rows that the walk had passed when they came (a scrape of old posts) are taken by a second one.
        for cursor in (self._cursor.get(label), None):
            try:
                gone = purge.delete_in_batches(
                    queryset,
                    key=by,
                    cursor=cursor,
                    save=save,
                    between=between,
                    share=left / total if total else 0.0,
                    total=total,
                )
            except BaseException:
                self._forget_what_was_rolled_back()
                raise
            counted.update(gone)
            before += gone.total()
            self.log(
                _("deleted %(rows)s %(table)s; %(all)s rows with what belongs to them")
                % {"rows": gone[label], "table": name, "all": gone.total()}
            )
            with without_parallel_workers(queryset.db):
                left = queryset.count()
            if not left:
                break
        return left

    def _gone_in_earlier_attempts(self, tables: list[TablePlan]) -> Counter[str]:
        gone, earlier = Counter[str](), self.run and self.run.retry_of
        while earlier is not None:
            gone.update({table.model: earlier.counts.get(table.model, 0) for table in tables})
            earlier = earlier.retry_of
        return gone

    @staticmethod
    def _is_more_than_planned(queryset: models.QuerySet[Any], table: TablePlan, gone: Counter[str]) -> bool:
        with without_parallel_workers(queryset.db):
            rows = queryset.count()
        return rows > table.rows * APPROVAL_TOLERANCE - gone[table.model]

    def _tell_what_is_left(self, table: TablePlan, left: int) -> None:
        assert self.run is not None
        message = _("%(rows)s %(table)s that should be gone are still there.") % {
            "rows": left,
            "table": table.verbose_name,
        }
        earlier = JobRun.objects.filter(
            job=self.run.job, dry_run=False, pk__lt=self.run.pk, plan__isnull=False
        )
        ended = earlier.filter(status__in=[JobRun.Status.SUCCEEDED, JobRun.Status.PARTIAL]).order_by("-pk")
        had_left = [
            any(one["model"] == table.model and one["left"] for one in (plan or {}).get("tables", []))
            for plan in ended.values_list("plan", flat=True)[: LOSING_RUNS - 1]
        ]
        if len(had_left) == LOSING_RUNS - 1 and all(had_left):
            message += " " + _("So did the runs before: rows become due faster than the purge deletes them.")
        self.partial(message)
        self.log(message, "warning")

    def _analyze(self, tables: list[TablePlan], using: str) -> None:
        try:
            analyze([apps.get_model(table.model) for table in tables], using)
        except OperationalError as error:
            self.log(_("ANALYZE was not possible: %(error)s") % {"error": error}, "warning")

    @staticmethod
    def _footprints(tables: list[TablePlan], using: str) -> list[Footprint | None]:
        return [footprint(apps.get_model(table.model), using) for table in tables]

    def _report_footprints(self, tables: list[TablePlan], before: list[Footprint | None], using: str) -> None:
        """After a large purge, renew the planner's statistics and say what the tables take now."""
        large = [table for table in tables if self.counts[table.model] >= ANALYZE_ROWS_MIN]
        self._analyze(large, using)
        for table, old in zip(tables, before, strict=True):
            new = footprint(apps.get_model(table.model), using)
            if old is None or new is None or table not in large:
                continue
            self.log(
                _("%(table)s: table %(table_before)s → %(table_after)s, indexes %(index_before)s → %(index_after)s,"
                  " dead rows %(dead_before)s → %(dead_after)s; VACUUM frees their space for new rows")
                % {
                    "table": capfirst(table.verbose_name),
                    "table_before": filesizeformat(old.table_bytes),
                    "table_after": filesizeformat(new.table_bytes),
                    "index_before": filesizeformat(old.index_bytes),
                    "index_after": filesizeformat(new.index_bytes),
                    "dead_before": old.dead_rows,
                    "dead_after": new.dead_rows,
                }
            )  # fmt: skip


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
        beat_at = time.monotonic() + settings.HEARTBEAT_SECONDS
        try:
            while not self._ended.wait(CANCEL_POLL_SECONDS):
                try:
                    if time.monotonic() >= beat_at:
                        beat_at = time.monotonic() + settings.HEARTBEAT_SECONDS
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
