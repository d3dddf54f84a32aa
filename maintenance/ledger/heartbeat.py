"""The heartbeat thread of a running job: writes heartbeats, notices a cancel, and ends a run that hangs."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections
from django.db.models import Q
from django.db.models.functions import Now

from database.sessions import pid_of
from maintenance.context import JobContext
from maintenance.ledger.process_state import ProcessState
from maintenance.models import JobRun

logger = logging.getLogger(__name__)

# Seconds within which a cancel is noticed, or that somebody watches, with one small SELECT each time.
POLL_SECONDS = 1.0
# Its statements are not part of the run's trace.
THREAD_NAME = "heartbeat"
# The heartbeat of a run that somebody watches; at most.
WATCHED_SECONDS = 2.0
# To end a run that hangs: how long to wait for the run's own transaction, and then, before the process is killed, for
# a job that has just ended.
END_LOCK_SECONDS = 3.0
JUST_ENDED_SECONDS = 3.0

# Writes the end of a run that does not end by itself: its reason, and where it hangs. False: it has ended already.
End = Callable[[str, str], bool]


class Heartbeat:
    """A thread, because recovery would take a job in one long request or statement for dead.

    Args:
        context: the context of the run.
        limit: how long the job may take; None: without limit.
        from_checkpoint: whether the limit counts from the latest checkpoint instead of from the start.
        end: see End.
        kill: ends this process at once, because nothing else ends a job that hangs; None: it must not be ended.
    """

    def __init__(
        self,
        context: JobContext,
        *,
        limit: timedelta | None = None,
        from_checkpoint: bool = False,
        end: End,
        kill: Callable[[], None] | None = None,
    ) -> None:
        self._context, self._limit, self._from_checkpoint = context, limit, from_checkpoint
        self._end, self._kill = end, kill
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._job_thread = threading.get_ident()
        self._job_connection: Any = connections[DEFAULT_DB_ALIAS]
        self._process_state = ProcessState(self._job_thread)
        self._is_watched = False
        self._beaten_at = self._started
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._live,), name=THREAD_NAME, daemon=True
        )

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
        # Wait for the thread, which may be about to kill the process: the next run must not be hit.
        self._thread.join()

    def _live(self) -> None:
        run = self._context.run
        assert run is not None
        try:
            while not self._ended.wait(min(POLL_SECONDS, self._seconds_left())):
                if reason := self._turn(run):
                    self._put_an_end(run, reason)
                    return
        finally:
            connection.close()

    def _turn(self, run: JobRun) -> str:
        """Hear what people want of the run, and write its heartbeat; return why it must be ended, or nothing."""
        reason: str = JobRun.Reason.TIME_LIMIT if self._seconds_left() <= 0 else ""
        try:
            if self._hears_of_force(run):
                reason = JobRun.Reason.OPERATOR
            self._beat_when_due(run)
        except Error:
            # The database does not answer: the job will notice that itself, unless it is back before.
            logger.warning("Heartbeat of %s failed.", run, exc_info=True)
            connection.close()
        return reason

    def _seconds_left(self) -> float:
        if self._limit is None:
            return POLL_SECONDS
        since = self._context.checked_at if self._from_checkpoint else self._started
        return max(0.0, since + self._limit.total_seconds() - time.monotonic())

    def _beat_when_due(self, run: JobRun) -> None:
        period = settings.HEARTBEAT_SECONDS
        if self._is_watched:
            period = min(period, WATCHED_SECONDS)
        if time.monotonic() < self._beaten_at + period:
            return
        state = self._process_state.as_json() if self._is_watched else None
        if run.beat(backend_pid=pid_of(self._job_connection), process_state=state):
            self._beaten_at = time.monotonic()

    def _hears_of_force(self, run: JobRun) -> bool:
        """Pass a cancel or a lost claim on to the context; return whether the run must be stopped by force."""
        mine = JobRun.objects.running().filter(pk=run.pk, worker=run.worker)
        watched = Q(watched_until__isnull=False) & Q(watched_until__gt=Now())
        row = mine.values("cancel_requested_at", "force_stop_at", is_watched=watched).first()
        if row is None:
            self._context.lose()
            return False
        self._is_watched = row["is_watched"]
        if row["cancel_requested_at"]:
            self._context.cancel()
        return row["force_stop_at"] is not None

    def _put_an_end(self, run: JobRun, reason: str) -> None:
        """End a run that does not end by itself; then its statement, and the process."""
        where = self._where_it_is()
        ended = self._write_end(run, reason, where)
        if ended is None:
            # It hangs in a transaction that has locked the run's row: end the transaction first.
            self._context.lose()
            self._cancel_statement()
            ended = self._write_end(run, reason, where)
        if ended is False and self._ended.wait(JUST_ENDED_SECONDS):
            return  # it has just ended
        logger.error("%s is ended (%s) where it is:\n%s", run, reason, where)
        self._cancel_statement()
        if self._kill:
            self._kill()

    def _write_end(self, run: JobRun, reason: str, where: str) -> bool | None:
        """Return the result of End; None if the database refuses: then recovery will end the run by its heartbeat."""
        try:
            self._wait_for_locks_no_longer_than(END_LOCK_SECONDS)
            return self._end(reason, where)
        except Error:
            logger.warning("%s hangs, and that could not be written.", run, exc_info=True)
            connection.close()
            return None

    def _where_it_is(self) -> str:
        """Return the stack of the job, starting at its function."""
        frames = traceback.extract_stack(sys._current_frames().get(self._job_thread))
        callers = [number for number, frame in enumerate(frames) if frame.name == "_execute"]
        return "".join(traceback.format_list(frames[callers[0] + 1 if callers else 0 :]))

    @staticmethod
    def _wait_for_locks_no_longer_than(seconds: float) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(seconds * 1000)}ms"])

    def _cancel_statement(self) -> None:
        """Cancel the job's statement on the server, where it would continue without a client."""
        if connection.vendor != "postgresql":
            return
        try:
            # psycopg2 allows that from another thread.
            if (raw := self._job_connection.connection) is not None:
                raw.cancel()
        except Exception:  # the process must end, whatever the error is
            logger.warning("The statement of the job could not be cancelled.", exc_info=True)
