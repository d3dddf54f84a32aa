"""Long reads of background work: they use one core of the server, and have a long statement timeout."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from database.statement_timeout import is_limited

# More than any count here needs, but finite: planning a purge of five million rows takes seconds.
STATEMENT_SECONDS = 1_800
# The databases on which the settings are applied already: a block inside another needs no savepoint of its own.
_applied: ContextVar[frozenset[str]] = ContextVar("background_reads", default=frozenset())


@contextmanager
def background_reads(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Run the queries inside in a transaction on one core of PostgreSQL, with their own statement timeout.

    Counting a big table on all cores is hardly faster, but makes a concurrent writer wait several times longer. A
    ``statement_timeout`` of the server, the database or its user is meant for statements that somebody waits for: a
    plan that takes longer would fail every time. A process that limits its own statements (the web) keeps that limit.
    SQLite uses one core in any case, and no transaction is opened there: it would lock out every writer.
    """
    if connections[using].vendor != "postgresql" or using in _applied.get():
        yield
        return
    with transaction.atomic(using=using):
        take_time(using)
        token = _applied.set(_applied.get() | {using})
        try:
            yield
        finally:
            _applied.reset(token)


def take_time(using: str = DEFAULT_DB_ALIAS) -> None:
    """Apply the settings of ``background_reads`` to the rest of the open transaction on PostgreSQL."""
    with connections[using].cursor() as cursor:
        # Compiling takes longer than it saves: a tenth to a quarter of the time of a plan of a million posts.
        sql = "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"
        if not is_limited():
            sql += f"; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
        cursor.execute(sql)
