"""A time limit for the statements of web processes, where somebody waits for the answer."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.signals import connection_created

# PostgreSQL's query_canceled.
CANCELED = "57014"

# The limit of this process; 0: none.
_limit = 0.0


def is_limited() -> bool:
    """Whether this process limits its statements."""
    return _limit > 0


def limit_statements(seconds: float) -> None:
    """End every statement of this process that takes longer than ``seconds``; 0: none. PostgreSQL only.

    It is set on each new connection. Behind a pooler that shares connections it would also apply to workers: set 0
    there, and set the limit on the database user of the web processes instead.
    """
    global _limit
    _limit = seconds
    if not seconds:
        return

    def set_timeout(connection: Any, **_kwargs: Any) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = %s", [round(seconds * 1000)])

    connection_created.connect(set_timeout, weak=False, dispatch_uid="database.statement_timeout")


def statement_timeout(using: str = DEFAULT_DB_ALIAS) -> int:
    """Return the limit of this session's statements in milliseconds; 0: none."""
    if connections[using].vendor != "postgresql":
        return 0
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'")
        return int(cursor.fetchone()[0])


def was_too_slow(error: BaseException) -> bool:
    """Whether the database ended a statement because it took too long."""
    return isinstance(error, OperationalError) and getattr(error.__cause__, "pgcode", None) == CANCELED
