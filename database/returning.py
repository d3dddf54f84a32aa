"""Deletes rows and tells which: what PostgreSQL and SQLite have for it and Django has not."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models.sql import DeleteQuery


class Returning(NamedTuple):
    """What a deleting statement tells of each row, and who takes it, in the same transaction."""

    expressions: Sequence[Any]
    take: Callable[[Sequence[tuple[Any, ...]]], None]


def delete_rows(rows: models.QuerySet[Any], returning: Returning | None = None) -> int:
    """Delete by one statement, past signals and cascades of Django's; return how many rows it deleted.

    What it tells is of the rows that it really deleted, after it has waited for whoever changed them.
    """
    if returning is None:
        return rows._raw_delete(rows.db)
    query = rows.query.chain(klass=DeleteQuery)
    compiler = query.get_compiler(rows.db)
    statement, parameters = compiler.as_sql()
    told = [
        compiler.compile(one.resolve_expression(query, allow_joins=False)) for one in returning.expressions
    ]
    with connections[rows.db].cursor() as cursor:
        cursor.execute(
            f"{statement} RETURNING {', '.join(sql for sql, _ in told)}",
            [*parameters, *(value for _, values in told for value in values)],
        )
        gone = cursor.fetchall()
    if gone:
        returning.take(gone)
    return len(gone)
