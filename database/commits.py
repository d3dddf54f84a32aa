"""Commits that need not wait for the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections, transaction


@contextmanager
def asynchronous_commit(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Open a transaction whose commit returns before PostgreSQL has written it to disk.

    For what is found again when a crash of the *server* loses the last moments: a claim, a heartbeat, a note that
    a message was sent. Other sessions see it at once, and order is kept: a later durable commit makes it durable
    too. Inside another transaction it is a savepoint and that transaction's commit decides. SQLite in WAL mode with
    ``synchronous=NORMAL`` never waits.
    """
    is_outermost = not connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if is_outermost and connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")
        yield
