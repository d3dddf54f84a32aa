"""Queries that leave the server's other cores to the site."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections, transaction


@contextmanager
def without_parallel_workers(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Keep PostgreSQL from spreading the queries inside over several cores; it does so in a transaction.

    For counts of big tables that nobody waits for: on all cores they are hardly sooner ready, and a writer beside
    them waits several times longer. SQLite uses one core anyway, and no transaction is opened there: it would lock
    out every writer.
    """
    if connections[using].vendor != "postgresql":
        yield
        return
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        yield
