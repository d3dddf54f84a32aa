"""The disk space of a table and the planner's statistics, before and after a large purge."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction

from database.background import background_reads, take_time

# ANALYZE waits for a VACUUM of the same table; a purge does not wait that long.
LOCK_TIMEOUT = "2s"


@dataclass(frozen=True)
class Footprint:
    """The disk space of a table."""

    table_bytes: int  # including long values (TOAST)
    index_bytes: int
    # Deleted or replaced, and not yet freed by VACUUM; PostgreSQL's running estimate, exact just after ANALYZE.
    dead_rows: int


def footprint(model: type[models.Model], using: str = DEFAULT_DB_ALIAS) -> Footprint | None:
    """Return the disk space of the model's table; None on SQLite, which frees pages at once and keeps no statistics."""
    if connections[using].vendor != "postgresql":
        return None
    with background_reads(using), connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT pg_table_size(relid), pg_indexes_size(relid), n_dead_tup FROM pg_stat_user_tables"
            " WHERE relid = %s::regclass",
            [connections[using].ops.quote_name(model._meta.db_table)],
        )
        return Footprint(*cursor.fetchone())


def is_underestimated(queryset: models.QuerySet[Any], rows: int) -> bool:
    """Whether PostgreSQL's planner estimates less than a tenth of the rows that the queryset has."""
    if connections[queryset.db].vendor != "postgresql":
        return False
    with background_reads(queryset.db):
        (plan,) = json.loads(queryset.order_by().explain(format="json"))
    return bool(plan["Plan"]["Plan Rows"] < rows / 10)


def analyze(tables: Iterable[type[models.Model]], using: str = DEFAULT_DB_ALIAS) -> None:
    """Update the planner's statistics, which autovacuum would do minutes later; does nothing on SQLite.

    Raises:
        OperationalError: VACUUM has locked a table.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in tables)
    if not names:
        return  # ANALYZE without a table would analyse all tables
    if connection.pg_version >= 150_000:  # type: ignore[attr-defined]  # only PostgreSQL has it
        # Otherwise the server counts the rows that this session has just deleted up to a second later.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
    with transaction.atomic(using=using), connection.cursor() as cursor:
        take_time(using)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        cursor.execute(f"ANALYZE {names}")
