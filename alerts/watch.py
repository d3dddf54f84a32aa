"""The threads that evaluate the rules and send what they tell.

They run in the leading scheduler, and in the workers while no scheduler is alive: threads of their own, so that no tick
waits for a rule, and no rule for a mail server.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from celery import signals
from django.db import Error, close_old_connections, connection

from alerts import sending
from alerts.evaluation import Evaluator
from alerts.ping import Pinger
from alerts.schedule_pings.sending import SchedulePinger
from database.errors import first_line
from maintenance.models import BeatLease
from maintenance.scheduling.scheduler_health import scheduler_health

logger = logging.getLogger(__name__)

# Seconds between two evaluations.
EVALUATE_SECONDS = 5.0


class Watch:
    """Evaluates the rules, sends messages and pings of schedules, each in a thread, while ``may_evaluate`` says so."""

    def __init__(self, may_evaluate: Callable[[], bool]) -> None:
        self._may_evaluate = may_evaluate
        self._evaluator = Evaluator()
        self._over = threading.Event()
        self._pinger, self._schedule_pinger = Pinger(), SchedulePinger()
        # Whether the rules were checked since the last ping.
        self._has_evaluated = threading.Event()
        # Set by each evaluation: this process is the one that sends.
        self._may_send, self._may_ping = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._evaluate, name="alerts", daemon=True),
            threading.Thread(target=self._send, name="alert deliveries", daemon=True),
            # Of its own: an address that hangs delays no message.
            threading.Thread(target=self._ping, name="schedule pings", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads; they end with their process."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads after their current evaluation and their current messages."""
        self._over.set()
        self._may_send.set()
        self._may_ping.set()
        for thread in self._threads:
            thread.join()

    def look(self) -> None:
        """Evaluate the rules once, if this process is the one that does so now."""
        if self._may_evaluate():
            # Before the rules: what is told already does not wait for a rule that fails.
            self._may_send.set()
            self._may_ping.set()
            self._evaluator.evaluate()
            self._has_evaluated.set()

    def deliver(self) -> None:
        """Send what is due; and the ping, if the rules were checked since the last one."""
        sending.SENDER.send_due()
        if self._has_evaluated.is_set() and self._pinger.ping():
            self._has_evaluated.clear()

    def _evaluate(self) -> None:
        while not self._over.wait(EVALUATE_SECONDS):
            _guarded(self.look)
        connection.close()

    def _send(self) -> None:
        while self._may_send.wait() and not self._over.is_set():
            self._may_send.clear()
            _guarded(self.deliver)
        connection.close()

    def _ping(self) -> None:
        while self._may_ping.wait() and not self._over.is_set():
            self._may_ping.clear()
            _guarded(self._schedule_pinger.ping)
        connection.close()


def _guarded(step: Callable[[], Any]) -> None:
    """Do one step of a thread that must go on whatever happens."""
    try:
        close_old_connections()
        step()
    except Error as error:
        logger.warning("The database did not let the alerts go on. %s", first_line(error))
        connection.close()
    except Exception:
        logger.exception("A step of the alerts failed; they go on.")


def leads_here() -> bool:
    """Whether a scheduler of this process holds the lease."""
    health = scheduler_health()
    return health.is_alive and health.leader.startswith(f"{socket.gethostname()}:{os.getpid()}:")


def nobody_leads() -> bool:
    """Whether a scheduler has been alive before, and none is now."""
    return BeatLease.objects.exists() and not scheduler_health().is_alive


def connect() -> None:
    """Start the thread in each scheduler and each worker of this console, when it starts."""
    signals.beat_init.connect(_in_scheduler, dispatch_uid="alerts")
    signals.worker_ready.connect(_in_worker, dispatch_uid="alerts")


def _in_scheduler(**_: Any) -> None:
    Watch(leads_here).start()


def _in_worker(**_: Any) -> None:
    Watch(nobody_leads).start()
