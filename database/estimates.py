"""Estimates how many rows a big table has, and the share of rows after a given time, without a full scan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections, models

# A table with at most this many rows is counted: PostgreSQL's estimate is too coarse there, and no faster.
COUNTED_ROWS_MAX = 10_000
# How many pages of a bigger table are read for an estimate where the planner has none.
SAMPLE_PAGES = 500
# How many rows of a bigger table are sampled to estimate a share of it.
SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class TableSize:
    """The size of a table."""

    rows: int
    is_exact: bool
    # With its indexes and long values; None if the database does not report it.
    bytes: int | None


def table_sizes(
    tables: Iterable[type[models.Model]], using: str = DEFAULT_DB_ALIAS
) -> dict[type[models.Model], TableSize]:
    """Return the size of each model's table, in one query; for big tables by the planner's estimate.

    On PostgreSQL, VACUUM, ANALYZE and CREATE INDEX update ``pg_class.reltuples``; it is -1 for a table on
    which none of them ever ran, and small for one that was small then: such a table is estimated from a sample. SQLite
    has no such estimate, so the rows are counted.
    """
    wanted = list(tables)
    if connections[using].vendor != "postgresql":
        return {
            model: TableSize(model._default_manager.using(using).count(), is_exact=True, bytes=None)
            for model in wanted
        }
    sizes = {}
    for model, (estimate, size, pages, counted) in zip(wanted, _numbers(wanted, using), strict=True):
        is_exact = counted is not None and counted <= COUNTED_ROWS_MAX
        if counted is None:
            rows = estimate
        else:
            rows = counted if is_exact else max(counted, _sampled(model, pages, using))
        sizes[model] = TableSize(rows, is_exact=is_exact, bytes=size)
    return sizes


def _numbers(wanted: Sequence[type[models.Model]], using: str) -> list[tuple[int, int, int, int | None]]:
    """Return of each table the planner's rows, bytes, pages, and its rows if they seem few, counted to one too many."""
    if not wanted:
        return []
    pages = "pg_relation_size(oid) / current_setting('block_size')::int"
    names = [connections[using].ops.quote_name(model._meta.db_table) for model in wanted]
    parts = [
        f"SELECT {number}, reltuples::bigint, pg_total_relation_size(oid), {pages},"  # noqa: S608  # names of our own models
        f" CASE WHEN reltuples <= {COUNTED_ROWS_MAX} THEN"
        f" (SELECT count(*) FROM (SELECT FROM {name} LIMIT {COUNTED_ROWS_MAX + 1}) AS first_rows) END"
        " FROM pg_class WHERE oid = to_regclass(%s)"
        for number, name in enumerate(names)
    ]
    with connections[using].cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), names)
        return [numbers for _number, *numbers in sorted(cursor.fetchall())]


def _sampled(model: type[models.Model], pages: int, using: str) -> int:
    """Return the number of rows by those on some pages of the table; with an error of about 5 per cent."""
    table = connections[using].ops.quote_name(model._meta.db_table)
    share = min(1.0, SAMPLE_PAGES / max(1, pages))
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} TABLESAMPLE SYSTEM ({100 * share})")  # noqa: S608  # our own model
        counted: int = cursor.fetchone()[0]
    return round(counted / share)


def share_since(model: type[models.Model], column: str, moment: datetime, *, rows: int) -> float:
    """Return the share (0 to 1) of the table whose ``column`` is at ``moment`` or later; null counts as earlier.

    ``rows`` is the table's size. For a big table on PostgreSQL, about 20,000 rows on random pages are read: shares of 0
    and 1 are exact, others have an error of a few per cent. In all other cases the rows are counted.
    """
    using = DEFAULT_DB_ALIAS
    table = connections[using].ops.quote_name(model._meta.db_table)
    quoted = connections[using].ops.quote_name(column)
    sampled = connections[using].vendor == "postgresql" and rows > SAMPLE_ROWS
    sample = f"TABLESAMPLE SYSTEM ({100 * SAMPLE_ROWS / rows})" if sampled else ""
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FILTER (WHERE {quoted} >= %s), count(*) FROM {table} {sample}",  # noqa: S608  # names of our own models
            [connections[using].ops.adapt_datetimefield_value(moment)],
        )
        since, seen = cursor.fetchone()
    return since / seen if seen else 0.0
