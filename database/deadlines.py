"""Reads that are cancelled: after a time limit, or because the same person has sent a newer request."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction

from database.statement_timeout import CANCELED, statement_timeout

# After this many instructions SQLite calls back, and a read can be cancelled.
SQLITE_INSTRUCTIONS = 10_000


class TooSlow(Exception):
    """The reads exceeded their time limit."""


class Superseded(Exception):
    """A newer request for the same reads has arrived."""


@contextmanager
def within(seconds: float, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Limit the total time of the statements inside.

    Raises:
        TooSlow: the database has cancelled the last one; PostgreSQL has rolled back the statements inside.
    """
    end = time.monotonic() + seconds
    limited = _within_on_postgresql if connections[using].vendor == "postgresql" else _within_on_sqlite
    try:
        with limited(end, using):
            yield
    except OperationalError as error:
        if _was_given_up(error):
            raise TooSlow from error
        raise


@contextmanager
def _within_on_postgresql(end: float, using: str) -> Iterator[None]:
    connection = connections[using]

    def give_the_rest(execute: Any, *arguments: Any) -> Any:
        left = round(1000 * (end - time.monotonic()))
        if left <= 0:
            raise TooSlow
        # Not with Django's cursor, which would call this wrapper again.
        with connection.connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {left}")
        return execute(*arguments)

    # The end of an own transaction sets the limit back.
    before = statement_timeout(using) if connection.in_atomic_block else None
    with transaction.atomic(using=using):
        with connection.execute_wrapper(give_the_rest):
            yield
        if before is not None:
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {before}")


@contextmanager
def _within_on_sqlite(end: float, using: str) -> Iterator[None]:
    with _giving_up_on_sqlite(lambda: time.monotonic() > end, using):
        yield


@contextmanager
def _giving_up_on_sqlite(is_over: Callable[[], bool], using: str) -> Iterator[None]:
    connection = connections[using]
    connection.ensure_connection()
    connection.connection.set_progress_handler(is_over, SQLITE_INSTRUCTIONS)
    try:
        yield
    finally:
        connection.connection.set_progress_handler(None, 0)


# SQLite: the reads of this process by name; a set event cancels them.
_reading: dict[str, threading.Event] = {}


@contextmanager
def superseding(name: str, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Cancel the reads under this name that still run, then do those inside: one at a time.

    PostgreSQL cancels those of every process of the same database user, SQLite those of this process. On PostgreSQL the
    block is a transaction.

    Raises:
        Superseded: a later caller has cancelled these.
    """
    started, limit = time.monotonic(), statement_timeout(using)
    alone = _alone_on_postgresql if connections[using].vendor == "postgresql" else _alone_on_sqlite
    try:
        with alone(name, using):
            yield
    except OperationalError as error:
        is_out_of_time = limit > 0 and 1000 * (time.monotonic() - started) >= limit
        if _was_given_up(error) and not is_out_of_time:
            raise Superseded from error
        raise


@contextmanager
def _alone_on_postgresql(name: str, using: str) -> Iterator[None]:
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            cursor.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'"
                " AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()",
                [name],
            )
            # Only for this transaction: afterwards another request uses the connection.
            cursor.execute("SET LOCAL application_name = %s", [name])
        yield


@contextmanager
def _alone_on_sqlite(name: str, using: str) -> Iterator[None]:
    mine = threading.Event()
    if earlier := _reading.get(name):
        earlier.set()
    _reading[name] = mine
    try:
        with _giving_up_on_sqlite(mine.is_set, using):
            yield
    finally:
        if _reading.get(name) is mine:
            del _reading[name]


def _was_given_up(error: OperationalError) -> bool:
    return getattr(error.__cause__, "pgcode", None) == CANCELED or str(error) == "interrupted"
