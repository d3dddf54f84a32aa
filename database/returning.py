"""``RETURNING``: delete or update rows, and return them. PostgreSQL and SQLite support it, Django does not."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models.sql import DeleteQuery, UpdateQuery
from django.db.transaction import mark_for_rollback_on_error

from database.messages import MessagesQuerySet

Row = TypeVar("Row", bound=models.Model)


class Returning(NamedTuple):
    """The columns that a DELETE returns for each row, and the function that receives them in the same transaction."""

    expressions: Sequence[Any]
    take: Callable[[Sequence[tuple[Any, ...]]], None]


def delete_rows(rows: models.QuerySet[Any], returning: Returning | None = None) -> int:
    """Delete with one statement, without Django's signals and cascades; return how many rows it deleted.

    It returns the rows that it really deleted, after waiting for concurrent changes to them.
    """
    if returning is None:
        return rows._raw_delete(rows.db) or 0  # None if the condition can match no row
    query = rows.query.chain(klass=DeleteQuery)
    compiler = query.get_compiler(rows.db)
    try:
        statement, parameters = compiler.as_sql()
    except EmptyResultSet:  # such as of an empty list of keys
        return 0
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


def update_rows(rows: models.QuerySet[Row], **values: Any) -> list[Row]:
    """Update with one statement and return the updated rows; ``values``: by field, as for ``update``."""
    if rows.query.is_sliced:
        raise TypeError("Cannot update a query once a slice has been taken.")
    if isinstance(rows, MessagesQuerySet):
        values = {**values, **rows.parts_by_field(values)}
    query: UpdateQuery = rows.query.chain(klass=UpdateQuery)  # type: ignore[assignment]  # of that class
    query.add_update_values(values)
    try:
        statement, parameters = query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:  # such as of an empty list of keys
        return []
    told = rows.model._base_manager.using(rows.db).raw(f"{statement} RETURNING *", parameters)
    with mark_for_rollback_on_error(using=rows.db):
        return list(told)
