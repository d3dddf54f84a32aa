"""The causes of database errors: it is full, locked, slow, read-only, or unreachable."""

import sqlite3
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from django.db import Error, connection

Result = TypeVar("Result")


class Cause(StrEnum):
    """Why the database refused a valid statement."""

    FULL = "full"
    LOCKED = "locked"
    TIMEOUT = "timeout"
    READ_ONLY = "read_only"
    OVERLOADED = "overloaded"
    LOST = "lost"


# PostgreSQL's codes by their first characters.
_BY_CODE = {
    "53100": Cause.FULL,  # disk_full
    "53": Cause.OVERLOADED,  # out of memory, connections, or slots in an internal table of the server
    "55P03": Cause.LOCKED,  # lock_not_available: lock_timeout
    "40": Cause.LOCKED,  # deadlock_detected, serialization_failure
    "57014": Cause.TIMEOUT,  # query_canceled: statement_timeout
    "25P03": Cause.TIMEOUT,  # idle_in_transaction_session_timeout
    "25006": Cause.READ_ONLY,  # read_only_sql_transaction: a standby, default_transaction_read_only
    "57P": Cause.LOST,  # the server is shutting down, has crashed, or is starting
    "08": Cause.LOST,  # connection exceptions
}
# SQLite's errors, by the first part of their names.
_BY_NAME = {
    "SQLITE_FULL": Cause.FULL,
    "SQLITE_NOMEM": Cause.OVERLOADED,
    "SQLITE_BUSY": Cause.LOCKED,
    "SQLITE_LOCKED": Cause.LOCKED,
    "SQLITE_INTERRUPT": Cause.TIMEOUT,
    "SQLITE_READONLY": Cause.READ_ONLY,
    "SQLITE_CANTOPEN": Cause.LOST,
    "SQLITE_IOERR": Cause.LOST,
}


def cause_of(error: BaseException) -> Cause | None:
    """Return why the database refused; None for an error that would recur, such as a violated constraint."""
    original = error.__cause__ if isinstance(error, Error) else error
    if isinstance(original, sqlite3.Error):
        return _look_up(_BY_NAME, getattr(original, "sqlite_errorname", None))
    if not type(original).__module__.startswith("psycopg2"):
        return None
    if code := getattr(original, "pgcode", None):
        return _look_up(_BY_CODE, code)
    # An error of the driver itself has no code: it lost the connection, or never had one.
    return Cause.LOST if type(original).__name__ in ("OperationalError", "InterfaceError") else None


def _look_up(causes: dict[str, Cause], code: str | None) -> Cause | None:
    return next((cause for start, cause in causes.items() if (code or "").startswith(start)), None)


def first_line(error: BaseException) -> str:
    """Return what the database said, as a sentence: its hints and the statement follow on other lines."""
    return f"{str(error).strip().partition(chr(10))[0].rstrip('.')}."


# What a caller should wait: longer than a fail-over's first refusals, shorter than people's patience.
RETRY_AFTER_SECONDS = 5
PASSING = frozenset({Cause.LOCKED, Cause.OVERLOADED, Cause.READ_ONLY, Cause.LOST})


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed in a few seconds: the database is locked, overloaded or being replaced."""
    return cause_of(error) in PASSING


def once_it_answers(
    ask: Callable[[], Result], *, for_seconds: float, give_up: Callable[[], bool], pause: float = 1.0
) -> Result:
    """Return the result of ``ask``; call it again while the database refuses or is unreachable.

    Call it outside any transaction: each retry uses a new connection.

    Args:
        ask: may be called several times.
        for_seconds: how long to retry; then the error is raised.
        give_up: returns whether to raise the error now.
        pause: seconds before the first retry; it doubles with each retry, up to ten times this value.
    """
    until, longest = time.monotonic() + for_seconds, 10 * pause
    while True:
        try:
            return ask()
        except Error as error:
            if cause_of(error) is None or time.monotonic() > until or give_up():
                raise
        connection.close()
        time.sleep(pause)
        pause = min(2 * pause, longest)
