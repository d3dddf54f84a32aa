"""The day of a time in UTC, as an expression; Django's TruncDate is a Python function on SQLite."""

from typing import Any

from django.db import models


class UTCDay(models.Func):
    """The day of a time in UTC; as raw SQL a date on PostgreSQL, and on SQLite a text such as ``2026-01-31``."""

    arity = 1
    output_field = models.DateField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Cut the text in which Django stores a UTC time on SQLite."""
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 10)", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Cast in UTC, whatever the connection's zone; ``date_trunc`` takes twice as long."""
        return self.as_sql(
            compiler, connection, template="(%(expressions)s AT TIME ZONE 'UTC')::date", **extra
        )
