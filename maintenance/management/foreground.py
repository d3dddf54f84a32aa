"""A run that a command performs in its own process: progress bar, signals, and the end of one that hangs."""

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
from maintenance.ledger import decisions, performing
from maintenance.models import JobRun


def perform_in_foreground(run: JobRun, *, show_bar: bool, conclude: Callable[[], None]) -> None:
    """Do the run's work in this process.

    ``conclude`` prints how the run ended and raises SystemExit with its code, if that is not 0. It is called
    from here only when the job hangs and the process must end beside it.

    Raises:
        CommandError: the end of the run could not be recorded.
    """
    stopped = threading.Event()

    def leave() -> None:
        """End this process from the thread beside a job that hangs, as the process would end by itself."""
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
                run.skip_queued(message=_("Another run of %(job)s is not finished.") % {"job": run.job})
        except (Exception, KeyboardInterrupt) as failure:
            run.refresh_from_db()
            if not run.is_final:  # it could not even be recorded
                raise CommandError(f"{type(failure).__name__}: {failure}. A worker takes it up.") from failure


@contextmanager
def _progress_bar(show: bool) -> Iterator[Callable[[int, int | None, str], None]]:
    """Give the function that is told of progress; it draws a bar on stderr, or nothing."""
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
    """SIGTERM hands the run back for another attempt by a worker; Ctrl-C cancels it."""

    def hand_back(*_: Any) -> None:
        stopped.set()

    def cancel(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the second Ctrl-C does not wait
        # Not from here: the handler may have interrupted a query on this very connection.
        # In this thread's context: that is where it stands whose shell it is.
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
        stopped.set()  # at the next checkpoint; a run that is asked to cancel is not handed back
        connection.close()
