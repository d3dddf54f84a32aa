"""Reads the first rows of each of many lists with one query that reads no other rows."""

import contextlib
from collections.abc import Sequence
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models.expressions import RawSQL

Row = TypeVar("Row", bound=models.Model)


def first_of_each(querysets: Sequence["models.QuerySet[Row]"]) -> list[Row]:
    """Return the rows of all the sliced querysets, in the order of the querysets.

    They have one model, defer the same fields (``only``) and annotate the same names. SQLite accepts a LIMIT in a
    compound SELECT only one level deeper; PostgreSQL reads an index only up to each LIMIT.
    """
    sql, params = _union(querysets)
    if not sql:
        return []
    found: list[Row] = list(querysets[0].model._default_manager.raw(sql, params))
    return found


def values_of_each(querysets: Sequence["models.QuerySet[Any, tuple[Any, ...]]"]) -> list[tuple[Any, ...]]:
    """Return the values of all the sliced querysets, which are lists of the same values of one model.

    A fraction of the work of ``first_of_each`` where hundreds of rows are read.
    """
    sql, params = _union(querysets)
    if not sql:
        return []
    compiler = querysets[0].query.get_compiler(DEFAULT_DB_ALIAS)
    compiler.setup_query()
    converters = compiler.get_converters([column for column, _sql, _alias in compiler.select or []])
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [tuple(row) for row in compiler.apply_converters(cursor.fetchall(), converters)]


def keys_of_each(querysets: Sequence["models.QuerySet[Any]"]) -> RawSQL | list[int]:
    """Return the keys of those rows, as a subquery for ``pk__in``; the querysets select nothing but the key."""
    sql, params = _union(querysets)
    return RawSQL(sql, params) if sql else []  # noqa: S611  # Django's own SQL


def _union(querysets: Sequence["models.QuerySet[Any]"]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    for index, queryset in enumerate(querysets):
        with contextlib.suppress(EmptyResultSet):  # its condition can match no row
            sql, values = queryset.query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
            parts.append(f"SELECT * FROM ({sql}) AS slice_{index}")  # noqa: S608  # Django's own SQL
            params += values
    return " UNION ALL ".join(parts), params
