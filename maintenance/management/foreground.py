"""Performs a run in the process of a command: with a progress bar, signals, and an end for a job that hangs."""

import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import connection, transaction
from tqdm import tqdm

from database.messages import gettext as _
from maintenance.ledger import decisions, performing, requests
from maintenance.models import JobRun
from maintenance.registry import JobsPaused, get_job


def perform_in_foreground(run: JobRun, *, show_bar: bool, conclude: Callable[[], None]) -> None:
    """Do the run's work in this process.

    ``conclude`` prints how the run ended and raises SystemExit with its code, if that is not 0. It is called here
    only if the job hangs and another thread must end the process.

    Raises:
        CommandError: the end of the run could not be recorded.
    """
    stopped = threading.Event()

    def leave() -> None:
        """End this process from another thread while the job hangs, with the exit code of a normal end."""
        try:
            conclude()
        except SystemExit as ended:
            sys.stdout.flush()
            os._exit(int(ended.code or 0))
        os._exit(1)

    with _signals(run, stopped), _progress_bar(show_bar) as listener:
        try:
            done = performing.perform(run, stopping=stopped.is_set, listener=listener, kill=leave)
            if not done:
                _skip(run)
        except (Exception, KeyboardInterrupt) as failure:
            run.refresh_from_db()
            if not run.is_final:  # the end could not be recorded
                raise CommandError(f"{type(failure).__name__}: {failure}. A worker takes it up.") from failure


def _skip(run: JobRun) -> None:
    """End a run that could not be claimed, and say why: a pause that has begun meanwhile, or another run."""
    reason: str = JobRun.Reason.OVERLAP
    message: str = _("Another run of %(job)s is not finished.") % {"job": run.job}
    if not run.dry_run:
        try:
            requests.refuse_paused(get_job(run.job))
        except JobsPaused as paused:
            reason, message = JobRun.Reason.PAUSED, paused.text
    run.skip_queued(reason=reason, message=message)


@contextmanager
def _progress_bar(show: bool) -> Iterator[Callable[[int, int | None, str], None]]:
    """Yield the function that gets progress; it draws a bar on stderr, or nothing."""
    if not show:
        yield lambda done, total, stage: None
        return
    with tqdm(unit="", file=sys.stderr, leave=False) as bar:

        def listen(done: int, total: int | None, stage: str) -> None:
            bar.total = total
            bar.set_description_str(stage, refresh=False)
            bar.update(done - bar.n)

        yield listen


@contextmanager
def _signals(run: JobRun, stopped: threading.Event) -> Iterator[None]:
    """Let SIGTERM hand the run back for another attempt by a worker, and Ctrl-C cancel it."""

    def hand_back(*_: Any) -> None:
        stopped.set()

    def cancel(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait
        # Not in the handler, which may have interrupted a query on this connection.
        # With this thread's context, which contains the shell's user.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(_cancel, run, stopped)).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, hand_back),
        signal.SIGINT: signal.signal(signal.SIGINT, cancel),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cancel(run: JobRun, stopped: threading.Event) -> None:
    try:
        asked = JobRun.objects.get(pk=run.pk)
        with transaction.atomic():
            if asked.ask_to_cancel():
                decisions.record_decision(decisions.CANCELLED, asked)
    finally:
        stopped.set()  # at the next checkpoint; a run that is being cancelled is not handed back
        connection.close()
