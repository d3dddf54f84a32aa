"""Sends messages to the broker in a separate thread, so that no caller waits for a broker that does not answer.

A broker may hang although its port is open. A caller (a tick, a request, a command, the readiness check) leaves its
work with this thread and waits for half a second at most. A message that was not sent by then stays unsent in the
database, and recovery sends it later; a message that is sent twice does no harm.

While the broker does not answer, callers do not wait at all: only the thread asks it again, every two seconds.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

# How long a caller waits without any progress. Well below the lease, because its holder is one of the callers.
PATIENCE_SECONDS = min(0.5, settings.BEAT_LEASE_SECONDS / 4)
# How long a caller waits for all of its messages while they are sent one by one: a burst on a busy machine.
PATIENCE_IN_ALL_SECONDS = 5 * PATIENCE_SECONDS
# How long the thread waits for the broker in one read or write.
SOCKET_SECONDS = 2.0
# The time between two attempts of the thread while the broker does not answer.
PROBE_SECONDS = 2.0
# The most pieces of work that may wait for the thread; more are refused.
QUEUE_MAX = 100
# A broker that restarted meanwhile refuses at once: worth a second attempt on a new connection.
STALE_SECONDS = 0.2


class BrokerAway(Exception):
    """The broker does not answer in time; the work may have been done or not."""


@dataclass(frozen=True)
class Message:
    """A task to be sent."""

    task: str
    args: Sequence[Any]
    queue: str | None = None
    # 0 to 9; what has the lowest number is taken first.
    priority: int = 0
    # Seconds until Celery kills the process; None: as the task declares.
    time_limit: int | None = None
    # Of the caller, who may be in the middle of a trace: the thread that sends has none of its own.
    context: Context = field(default_factory=copy_context, compare=False, repr=False)


class Line:
    """The thread's connection."""

    def __init__(self, url: str | None) -> None:
        options = {
            "socket_timeout": SOCKET_SECONDS,
            "socket_connect_timeout": SOCKET_SECONDS,
            "max_retries": 0,  # kombu would try without end
        }
        self._connection: Connection = current_app.connection_for_write(url, transport_options=options)
        try:
            self._connection.ensure_connection(max_retries=0)
            self.channel: Any = self._connection.default_channel
            self.producer = current_app.amqp.Producer(self._connection, auto_declare=False)
        except BaseException:
            self.close()
            raise

    def send(self, message: Message) -> None:
        """Send one message."""
        # A copy, because an attempt that fails may leave something in it.
        message.context.copy().run(self._send, message)

    def _send(self, message: Message) -> None:
        current_app.send_task(
            message.task,
            args=message.args,
            queue=message.queue,
            priority=message.priority,
            time_limit=message.time_limit,
            producer=self.producer,
            retry=False,
        )

    def ping(self) -> None:
        """Ask whether the broker answers."""
        self.waiting_by_queue()

    def waiting_by_queue(self) -> dict[str, int]:
        """Return how many messages wait in each queue, of all priorities."""
        # Celery's Redis transport returns the length of the lists and creates nothing.
        return {
            queue.name: int(
                self.channel.queue_declare(queue=queue.name, durable=True, auto_delete=False).message_count
            )
            for queue in settings.CELERY_TASK_QUEUES
        }

    def close(self) -> None:
        """Close the connection; errors only go to the log."""
        try:
            self._connection.release()
        except Exception:
            logger.debug("A broken connection to the broker could not be closed.", exc_info=True)


@dataclass
class Errand:
    """One piece of work for the thread, and its result."""

    work: Callable[[Line, "Errand"], Any]
    result: Any = None
    error: BaseException | None = None
    # Increased by work of several steps: its caller continues to wait while it grows.
    steps: int = 0
    is_given_up: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class Publisher:
    """One thread with one connection, started by the first errand; ``url``: the broker's; None: from the settings."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        self._queue: queue.Queue[Errand] = queue.Queue(QUEUE_MAX)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._line: Line | None = None
        # Cleared by the first caller that got no answer, set by the thread when the broker answers again.
        self._answers = threading.Event()
        self._answers.set()

    @property
    def is_answering(self) -> bool:
        """Whether the broker answered when it was last asked."""
        return self._answers.is_set()

    def ask(self, work: Callable[[Line, Errand], Any]) -> Any:
        """Do ``work`` in the thread and return its result.

        Raises:
            BrokerAway: there is no result within ``PATIENCE_SECONDS``, or the broker did not answer the last time.
            Exception: any other exception of ``work``.
        """
        if not self.is_answering:
            raise BrokerAway("The broker does not answer.")
        self._start()
        errand = Errand(work)
        try:
            self._queue.put_nowait(errand)
        except queue.Full:
            raise BrokerAway("Too much waits for the broker.") from None
        self._wait_for(errand)
        if errand.error is not None:
            raise errand.error
        return errand.result

    def _wait_for(self, errand: Errand) -> None:
        until = time.monotonic() + PATIENCE_IN_ALL_SECONDS
        steps = errand.steps
        while not errand.done.wait(PATIENCE_SECONDS):
            has_moved, steps = errand.steps > steps, errand.steps
            if has_moved and time.monotonic() < until:
                continue
            errand.is_given_up = True
            if not has_moved:
                self._answers.clear()
                with contextlib.suppress(queue.Full):
                    self._queue.put_nowait(
                        Errand(errand.work, is_given_up=True)
                    )  # wakes the thread to ask again
            raise BrokerAway("The broker does not answer in time.")

    # --- In the thread -----------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # Daemon, so that a process that ends does not wait for the broker either.
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                errand = self._queue.get(timeout=None if self.is_answering else PROBE_SECONDS)
            except queue.Empty:
                self._probe()
                continue
            if not errand.is_given_up:
                self._do(errand)
            if errand.is_given_up and not self.is_answering:
                self._probe()

    def _do(self, errand: Errand) -> None:
        began = time.monotonic()
        is_new = self._line is None
        try:
            try:
                errand.result = errand.work(self._open(), errand)
            except self._errors():
                self._hang_up()
                if is_new or errand.steps or time.monotonic() - began > STALE_SECONDS:
                    raise
                errand.result = errand.work(self._open(), errand)
        except self._errors() as error:
            self._hang_up()
            self._answers.clear()
            errand.error = BrokerAway(f"The broker does not answer: {error}")
        except BaseException as error:  # the caller handles it; the thread must go on
            errand.error = error
        errand.done.set()

    def _probe(self) -> None:
        try:
            self._open().ping()
        except Exception as error:
            logger.debug("The broker still does not answer: %s", error)
            self._hang_up()
        else:
            logger.info("The broker answers again.")
            self._answers.set()

    def _open(self) -> Line:
        if self._line is None:
            self._line = Line(self._url)
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    @staticmethod
    def _errors() -> tuple[type[BaseException], ...]:
        kombu = current_app.connection_for_write()
        return (OSError, OperationalError, *kombu.connection_errors, *kombu.channel_errors)


_publisher = Publisher()


def _forget_after_a_fork() -> None:
    """Give a child process its own thread and connection: threads and locks of the parent are not usable there."""
    global _publisher
    _publisher = Publisher()


os.register_at_fork(after_in_child=_forget_after_a_fork)


def ask(work: Callable[[Line, Errand], Any]) -> Any:
    """Let the thread of this process do something with the broker; see ``Publisher.ask``."""
    return _publisher.ask(work)


def send(messages: Sequence[Message]) -> int:
    """Send the messages in order; return how many were certainly sent, which may be too few."""
    count = 0

    def work(line: Line, errand: Errand) -> None:
        nonlocal count
        for message in messages:
            if count and errand.is_given_up:
                return  # the first is sent even if late: a new process may take long to connect
            line.send(message)
            count += 1
            errand.steps = count

    try:
        if messages:
            ask(work)
    except BrokerAway as error:
        logger.warning(
            "%s messages were not sent; their runs wait in the database. %s", len(messages) - count, error
        )
    return count


def waiting_by_queue() -> dict[str, int] | None:
    """Return how many messages wait in each queue; None: the broker does not answer."""
    try:
        waiting: dict[str, int] = ask(lambda line, _errand: line.waiting_by_queue())
    except BrokerAway:
        return None
    return waiting


def messages_waiting() -> int | None:
    """Return how many messages wait in all queues; None: the broker does not answer."""
    waiting = waiting_by_queue()
    return None if waiting is None else sum(waiting.values())
