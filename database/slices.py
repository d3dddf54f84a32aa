"""Reads the first rows of each of many lists with one query that reads no other rows.

A part is a sliced queryset, or one queryset bound to the values of several parts (``bound``): Django builds and compiles
it only once, which takes most of the time where there are many parts.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models.expressions import Expression, RawSQL

Row = TypeVar("Row", bound=models.Model)
# The column with the number of the part.
PART: Final = "number_of_part"


class Each(Expression):
    """Stands in a queryset for a text or a number that differs between the parts: ``filter(job=Each("job"))``."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return a parameter that is replaced by a part's value."""
        return "%s", (self,)


@dataclass(frozen=True)
class Bound(Generic[Row]):
    """A sliced queryset with the values of its ``Each``."""

    queryset: "models.QuerySet[Row, Any]"
    values: Mapping[str, Any]


def bound(queryset: "models.QuerySet[Row, Any]", **values: str | int) -> Bound[Row]:
    """Return a part: this queryset with these values."""
    return Bound(queryset, values)


def first_of_each(parts: "Sequence[models.QuerySet[Row, Any] | Bound[Row]]") -> list[list[Row]]:
    """Return the rows of each part.

    They have one model, defer the same fields (``only``) and annotate the same names. SQLite accepts a LIMIT in a
    compound SELECT only one level deeper; PostgreSQL reads an index only up to each LIMIT.
    """
    found: list[list[Row]] = [[] for _part in parts]
    sql, params = _union(parts, is_numbered=True)
    if sql:
        for row in _queryset(parts[0]).model._default_manager.raw(sql, params):
            found[getattr(row, PART)].append(row)
    return found


def values_of_each(parts: "Sequence[models.QuerySet[Any, Any] | Bound[Any]]") -> list[tuple[Any, ...]]:
    """Return the values of all parts, which are lists of the same values of one model.

    A fraction of the work of ``first_of_each`` where hundreds of rows are read.
    """
    sql, params = _union(parts)
    if not sql:
        return []
    compiler = _queryset(parts[0]).query.get_compiler(DEFAULT_DB_ALIAS)
    compiler.setup_query()
    converters = compiler.get_converters([column for column, _sql, _alias in compiler.select or []])
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [tuple(row) for row in compiler.apply_converters(cursor.fetchall(), converters)]


def keys_of_each(parts: "Sequence[models.QuerySet[Any, Any] | Bound[Any]]") -> RawSQL | list[int]:
    """Return the keys of those rows, as a subquery for ``pk__in``; the parts select nothing but the key."""
    sql, params = _union(parts)
    return RawSQL(sql, params) if sql else []  # noqa: S611  # Django's own SQL


def _queryset(part: Any) -> Any:
    return part.queryset if isinstance(part, Bound) else part


def _union(parts: Sequence[Any], *, is_numbered: bool = False) -> tuple[str, list[Any]]:
    compiled: dict[int, tuple[str, Sequence[Any]] | None] = {}
    selects: list[str] = []
    params: list[Any] = []
    for number, part in enumerate(parts):
        queryset = _queryset(part)
        if id(queryset) not in compiled:
            compiled[id(queryset)] = _compiled(queryset)
        if found := compiled[id(queryset)]:
            sql, own = found
            column = f", {number} AS {PART}" if is_numbered else ""
            selects.append(f"SELECT *{column} FROM ({sql}) AS slice_{number}")  # noqa: S608  # Django's own SQL
            params += [part.values[one.name] if isinstance(one, Each) else one for one in own]
    return " UNION ALL ".join(selects), params


def _compiled(queryset: "models.QuerySet[Any, Any]") -> tuple[str, Sequence[Any]] | None:
    """Return SQL and parameters; None: its condition can match no row."""
    with contextlib.suppress(EmptyResultSet):
        sql, params = queryset.query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return sql, params
    return None
