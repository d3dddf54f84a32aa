"""A worker records in the database that it is alive, and ends itself when it takes no work although work waits.

A worker may look alive but do nothing: its event loop hangs, its pool is gone, or its consumer has lost the queue.
From outside it looks like an idle one, so it watches itself from two threads: one touches a file, for the process
that started the worker, the other writes the worker's row and judges. A worker that ends is started again by `up`,
by compose (`restart`) and by systemd; none of them would restart one that only fails its health check.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from billiard.sharedctypes import RawValue
from celery import bootsteps, signals
from celery.worker import state
from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.db.models.functions import Now

from database import clock
from database.errors import first_line
from maintenance.ledger import publishing
from maintenance.models import JobRun, WorkerProcess
from maintenance.registry import get_job, is_known, jobs

logger = logging.getLogger(__name__)

# Seconds between two notes that the event loop makes of itself.
TURN_SECONDS = 1.0
# A loop that made no note for this long takes no message: it hangs, or has no connection.
UNRESPONSIVE_SECONDS = min(10.0, settings.WORKER_STUCK_SECONDS)
# A run whose message was sent this long ago should have been taken.
UNTAKEN_SECONDS = min(10.0, settings.WORKER_STUCK_SECONDS)
# A worker that ends itself gives its runs this long to hand back, then kills them.
GRACE_SECONDS = min(20.0, settings.WORKER_STUCK_SECONDS)
# How long to wait for a thread that hangs in the database.
JOIN_SECONDS = 2.0

# By the monotonic clock, which all processes of a host share. The pool's processes write it: created before it forks.
_taken_at = RawValue("d", 0.0)


@signals.task_prerun.connect
def _note_that_work_was_taken(**_: Any) -> None:
    _taken_at.value = time.monotonic()


class EventLoopNote(bootsteps.StartStopStep):
    """Notes regularly that the event loop runs; restarted with every connection, which clears the loop's timers."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    ran_at = 0.0

    def __init__(self, consumer: Any, **_: Any) -> None:
        """Start without a note."""

    def start(self, consumer: Any) -> None:
        """Make a note now, and then regularly."""
        self._note()
        consumer.timer.call_repeatedly(TURN_SECONDS, self._note)

    @classmethod
    def _note(cls) -> None:
        cls.ran_at = time.monotonic()


class Liveness(bootsteps.StartStopStep):
    """Runs the two threads as long as the worker runs."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_: Any) -> None:
        """Prepare; nothing starts yet."""
        self._watch: Watch | None = None

    def start(self, worker: Any) -> None:
        """Start watching."""
        self._watch = Watch(
            name=worker.hostname,
            concurrency=worker.concurrency,
            pids=lambda: _pool_pids(worker),
            queues=list(worker.app.amqp.queues.consume_from),
        )
        self._watch.start()

    def stop(self, worker: Any) -> None:
        """Stop watching and delete the row."""
        if self._watch is not None:
            self._watch.stop()

    def terminate(self, worker: Any) -> None:
        """Do the same when the worker terminates at once."""
        self.stop(worker)


def _pool_pids(worker: Any) -> list[int]:
    pool = getattr(worker.pool, "_pool", None)  # there is none before it starts, nor for pools of threads
    return [process.pid for process in getattr(pool, "_pool", []) if process.pid]


class Watch:
    """The work of the two threads."""

    def __init__(
        self,
        *,
        name: str,
        concurrency: int,
        pids: Callable[[], list[int]],
        queues: Sequence[str] = (*settings.JOB_QUEUES, settings.OTHER_QUEUE),
    ) -> None:
        self.name, self.concurrency, self._pids, self._queues = name, concurrency, pids, queues
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._touch, name="alive", daemon=True),
            threading.Thread(target=self._report, name="liveness", daemon=True),
        ]
        self._started_at = time.monotonic()
        self._listening_at = 0.0
        self._sick_since: float | None = None

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop them and delete the row; a thread that hangs is left behind."""
        self._over.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def _touch(self) -> None:
        path = Path(settings.WORKER_ALIVE_FILE) if settings.WORKER_ALIVE_FILE else None
        while path is not None:
            try:
                path.touch()
            except OSError:
                logger.warning("%s cannot be touched", path, exc_info=True)
            if self._over.wait(TURN_SECONDS):
                break

    def _report(self) -> None:
        while True:
            try:
                close_old_connections()
                by_queue = publishing.waiting_by_queue()
                waiting = None
                if by_queue is not None:
                    waiting = sum(by_queue.get(name, 0) for name in self._queues)
                if waiting is not None:  # while the broker hangs, even a running loop receives nothing
                    self._listening_at = EventLoopNote.ran_at
                self.write_row()
                self.judge(self.why_sick(waiting))
            except Error as error:
                logger.warning("This worker could not tell the database that it lives. %s", first_line(error))
                connection.close()
            except Exception:
                logger.exception("The worker's watch failed; it goes on.")
            if self._over.wait(settings.HEARTBEAT_SECONDS):
                break
        self._take_row_away()
        connection.close()

    def _take_row_away(self) -> None:
        try:
            WorkerProcess.objects.filter(pk=self.name, pid=os.getpid()).delete()
        except Error:
            logger.debug("The worker's row is left behind.", exc_info=True)

    def write_row(self) -> None:
        """Write the worker's state into its row."""
        now = time.monotonic()

        def moment(at: float) -> Any:
            return Now() - timedelta(seconds=now - at) if at else None

        seen = {
            "pid": os.getpid(),
            "queues": ",".join(self._queues)[:200],
            "seen_at": Now(),
            "started_at": moment(self._started_at),
            "listening_at": moment(self._listening_at),
            "taken_at": moment(_taken_at.value),
        }
        WorkerProcess.objects.update_or_create(pk=self.name, defaults=seen)

    # --- Judging -----------------------------------------------------------------------------

    def why_sick(self, waiting: int | None) -> str:
        """Return why this worker takes no work although it should; empty: there is no fault of its own.

        ``waiting``: the messages in its queues; None: the broker does not answer.
        """
        if waiting is None:
            return ""  # a fault of the broker
        now = time.monotonic()
        if now - max(EventLoopNote.ran_at, self._started_at) > UNRESPONSIVE_SECONDS:
            return "Its event loop stands still although the broker answers."
        if now - max(_taken_at.value, self._started_at) < UNRESPONSIVE_SECONDS:
            return ""
        reserved = len(state.reserved_requests) - len(state.active_requests)
        if (waiting or reserved > 0) and self._busy() < self.concurrency and self._work_waits():
            return "It takes no work although work waits and it has room for it."
        return ""

    def _busy(self) -> int:
        ours = {job.task_name for job in jobs()}
        foreign = sum(request.name not in ours for request in list(state.active_requests))
        return foreign + JobRun.objects.running().filter(worker__startswith=f"{self.name}:").count()

    def _work_waits(self) -> bool:
        sent_before = clock.now() - timedelta(seconds=UNTAKEN_SECONDS)
        waiting = JobRun.objects.could_start().filter(queued_at__lt=sent_before, sent_at__isnull=False)
        slugs = waiting.values_list("job", flat=True).distinct()
        return any(is_known(slug) and get_job(slug).queue in self._queues for slug in slugs)

    def judge(self, why: str) -> None:
        """End the worker when it has been unhealthy for long enough without interruption."""
        if not why:
            self._sick_since = None
        elif self._sick_since is None:
            self._sick_since = time.monotonic()
        elif time.monotonic() - self._sick_since > settings.WORKER_STUCK_SECONDS:
            logger.critical("%s This worker ends, so that it is started again.", why)
            self._end()

    def _end(self) -> None:
        self._take_row_away()
        # A main process that hangs does not handle its signal: signal the pool's processes directly.
        signals.worker_shutting_down.send(sender=self.name, sig="SIGTERM", how="Warm", exitcode=1)
        os.kill(os.getpid(), signal.SIGTERM)
        # Until the process ends, not the watch, which stops before the pool: stopping the pool may hang.
        time.sleep(GRACE_SECONDS)
        logger.critical("It did not end by itself in %s s: killing it.", GRACE_SECONDS)
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(1)
