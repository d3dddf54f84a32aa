"""Asynchronous commits, which do not wait for the disk."""

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.expressions import RawSQL


def without_waiting_sql(using: str = DEFAULT_DB_ALIAS) -> str:
    """Return a condition, always true, that lets the commit of its UPDATE return before it is on disk.

    For changes that are recovered after a crash of the *server* loses the latest commits: a claim, a heartbeat, a note
    that a message was sent. Other sessions see the change at once, and the order of commits is kept: a later durable
    commit makes this one durable too.
    It is a condition, so that the UPDATE is its own transaction: one round trip to PostgreSQL instead of four. Inside
    another transaction it sets nothing, because that transaction's commit decides. SQLite in WAL mode with
    ``synchronous=NORMAL`` never waits.
    """
    connection = connections[using]
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return "TRUE"
    return "set_config('synchronous_commit', 'off', true) = 'off'"


def without_waiting(using: str = DEFAULT_DB_ALIAS) -> RawSQL:
    """Return that condition for ``QuerySet.filter``."""
    return RawSQL(without_waiting_sql(using), (), models.BooleanField())  # noqa: S611  (a constant)
