"""The database's clock: the one that all hosts agree on."""

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """Return the database's clock, also within a transaction (where PostgreSQL's ``now()`` stands still)."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp()")
            now: datetime = cursor.fetchone()[0]
            return now
        cursor.execute("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")
        return datetime.fromisoformat(cursor.fetchone()[0])
