"""Inserts rows that the database generates from their numbers, for ``bench.fill`` and its parts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench import harness

PEOPLE = 50
# Keys of people and schedules begin behind those that a database may have already.
FIRST = 1_000_000
DAYS = 120


def chance(salt: int, row: str = "i") -> str:
    """Return SQL for a pseudo-random number from 0 to below 1, computed from a row and a salt."""
    return f"(((({row} + {salt}) * 2654435761) % 4294967296) / 4294967296.0)"


def pick(*shares: tuple[float, str], last: str, of: str) -> str:
    """Return SQL that draws one of the texts: each with its share, the last one with the remaining share."""
    limit, cases = 0.0, []
    for share, text in shares:
        limit += share
        cases.append(f"WHEN {of} < {limit:.6f} THEN '{text}'")
    return f"CASE {' '.join(cases)} ELSE '{last}' END"


class Filler:
    """Inserts rows by SQL; fills columns that are not named with their defaults."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        from django.db import connection

        self.connection = connection
        self.is_postgres = connection.vendor == "postgresql"
        self.tell = tell

    def literal(self, value: Any) -> str:
        """Return a Python value as SQL."""
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return str(value).lower() if self.is_postgres else str(int(value))
        if isinstance(value, int | float):
            return str(value)
        if isinstance(value, dict | list):
            return self.json("'{}'" if isinstance(value, dict) else "'[]'")
        return "'" + str(value).replace("'", "''") + "'"

    def defaults(self, model: Any) -> dict[str, str]:
        """Return SQL for each column with a Django default; the database fills in its own defaults."""
        from django.db.models.fields import NOT_PROVIDED

        found: dict[str, str] = {}
        for field in model._meta.local_concrete_fields:
            if field.primary_key or getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED:
                continue
            if field.has_default():
                found[field.column] = self.literal(field.get_default())
            elif not field.null and field.empty_strings_allowed:
                found[field.column] = "''"
        return found

    def insert(self, model: Any, rows: int, **columns: str) -> None:
        """Insert ``rows`` rows; ``columns`` are SQL expressions of ``i``, which counts from 1."""
        started = time.perf_counter()
        values = {**self.defaults(model), **columns}
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {model._meta.db_table} ({', '.join(values)})"
                f" SELECT {', '.join(values.values())} FROM {harness.series(1, rows)}"
            )
        self.tell(f"{rows:>12,} {model._meta.verbose_name_plural}: {time.perf_counter() - started:.1f} s")

    def json(self, text: str) -> str:
        """Return SQL for a JSON column of a text."""
        return f"CAST({text} AS jsonb)" if self.is_postgres else text

    def at(self, days: str) -> str:
        """Return SQL for the moment this many days ago."""
        return harness.days_ago(days)

    def day_of(self, row: str, rows: int, salt: int) -> str:
        """Return SQL for the age of a row in days, oldest first; neighbours may be out of order by a day."""
        return f"(({rows} - {row}) * {DAYS - 1}.0 / {rows} + {chance(salt, row)})"

    def reset_sequences(self, *models: Any) -> None:
        """Set the sequences, so that the next row of each model gets a key after those given here."""
        from django.core.management.color import no_style

        with self.connection.cursor() as cursor:
            for statement in self.connection.ops.sequence_reset_sql(no_style(), models):
                cursor.execute(statement)

    @contextmanager
    def unchecked(self, *models: Any) -> Iterator[None]:
        """On PostgreSQL: drop the secondary indexes and do not check foreign keys while rows are inserted."""
        if not self.is_postgres:
            yield
            return
        tables = [model._meta.db_table for model in models]
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname NOT IN"
                " (SELECT conname FROM pg_constraint WHERE contype IN ('p', 'u'))",
                [tables],
            )
            indexes = cursor.fetchall()
            cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
            cursor.execute("SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 2")
            for name, _definition in indexes:
                cursor.execute(f'DROP INDEX "{name}"')
        yield
        started = time.perf_counter()
        with self.connection.cursor() as cursor:
            for _name, definition in indexes:
                cursor.execute(definition)
            cursor.execute("RESET session_replication_role")
        self.tell(f"{len(indexes):>12} indexes: {time.perf_counter() - started:.1f} s")
