"""Long reads of work in the background: they leave the server's other cores to the site, and may take their time."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from database.statement_timeout import is_limited

# A plan of five million rows takes seconds. More than any count here needs, but finite.
STATEMENT_SECONDS = 1_800


@contextmanager
def background_reads(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Run the queries inside on one core of PostgreSQL, with a time limit of their own; in a transaction.

    On all cores a count of a big table is hardly faster, and a writer beside it waits several times longer. A
    ``statement_timeout`` of the server, the database or its user is meant for statements that somebody waits for: a
    plan that needs longer would fail each time. In a process that limits its own statements, the web, that limit stays.
    SQLite uses one core anyway, and no transaction is opened there: it would lock out every writer.
    """
    if connections[using].vendor != "postgresql":
        yield
        return
    with transaction.atomic(using=using):
        take_time(using)
        yield


def take_time(using: str = DEFAULT_DB_ALIAS) -> None:
    """Do what ``background_reads`` does for the rest of the transaction that is open on PostgreSQL."""
    with connections[using].cursor() as cursor:
        sql = "SET LOCAL max_parallel_workers_per_gather = 0"
        if not is_limited():
            sql += f"; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
        cursor.execute(sql)
