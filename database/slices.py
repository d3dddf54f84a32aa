"""The first rows of each of many lists, in one query that reads only these."""

import contextlib
from collections.abc import Sequence
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.expressions import RawSQL

Row = TypeVar("Row", bound=models.Model)


def first_of_each(querysets: Sequence["models.QuerySet[Row]"]) -> list[Row]:
    """Return the rows of all the sliced querysets, those of the first before those of the second.

    They are of one model, defer the same fields (``only``) and annotate the same names. SQLite takes no LIMIT inside a
    compound SELECT, but does one level deeper; PostgreSQL reads an index as far as each LIMIT.
    """
    sql, params = _union(querysets)
    if not sql:
        return []
    found: list[Row] = list(querysets[0].model._default_manager.raw(sql, params))
    return found


def keys_of_each(querysets: Sequence["models.QuerySet[Any]"]) -> RawSQL | list[int]:
    """Return the keys of those rows, as a subquery for ``pk__in``; the querysets select nothing but the key."""
    sql, params = _union(querysets)
    return RawSQL(sql, params) if sql else []  # noqa: S611  # Django's own SQL


def _union(querysets: Sequence["models.QuerySet[Any]"]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    for index, queryset in enumerate(querysets):
        with contextlib.suppress(EmptyResultSet):  # it can hold no row
            sql, values = queryset.query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
            parts.append(f"SELECT * FROM ({sql}) AS slice_{index}")  # noqa: S608  # Django's own SQL
            params += values
    return " UNION ALL ".join(parts), params
