"""SQL statements that write a page of content rows; an unchanged row is not rewritten.

The columns come from the rows and the model, so that a new column needs no line here. PostgreSQL gets a page as one
array per column (``unnest``), each as a single text: parsing lists of constants would cost more than the insert.
SQLite gets an ``executemany``.

A row that was verified after ``seen_at`` is not changed: an old answer must not bring back content that has been
deleted since.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connection, models

from scraping.models import BotConfig, PostSighting, RedditComment, RedditPost

Content = type[RedditPost] | type[RedditComment]
Row = Mapping[str, Any]

# These columns never change after the insert.
_FIXED = ("fullname", "created_at")


def upsert(
    model: Content, rows: Sequence[Row], *, on_insert: Mapping[str, Any], seen_at: datetime
) -> tuple[int, int]:
    """Insert the rows that are new, update those that differ; return how many of each.

    An update sets ``last_seen_at`` and leaves ``checked_at``, which is indexed, to ``note_sight``: so no index is
    written. All rows have the same keys. They are written, and on PostgreSQL locked, in the given order. ``on_insert``
    holds the values of columns that only a new row gets; all other columns get the model's defaults.
    """
    names = tuple(rows[0])
    fields = _fields(model)
    constants = {name: field.get_default() for name, field in fields.items() if not field.primary_key}
    constants |= {"first_seen_at": seen_at, "last_seen_at": seen_at, "checked_at": seen_at, **on_insert}
    constants = {name: value for name, value in constants.items() if name not in names and value is not None}
    columns = _columns(model, names, rows)
    fixed = [_prepared(fields[name], [value])[0] for name, value in constants.items()]
    statement = _upsert_sql(model, names, tuple(constants), connection.vendor)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(statement, [*fixed, *map(_array, columns)])
            is_new = [inserted for (inserted,) in cursor.fetchall()]
            return sum(is_new), len(is_new) - sum(is_new)
        # SQLite has one writer, and its keys only grow, so all keys after the last one are from this statement.
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {_table(model)}")  # noqa: S608  # our own model
        last = cursor.fetchone()
        page = zip(*columns, *([value] * len(rows) for value in fixed), strict=True)
        cursor.executemany(statement, page)  # type: ignore[arg-type]  # it takes any iterable
        written = cursor.rowcount
        cursor.execute(f"SELECT count(*) FROM {_table(model)} WHERE id > %s", last)  # noqa: S608  # as above
        (new,) = cursor.fetchone()
        return new, written - new


def note_sight(model: Content, rows: Sequence[Row], *, seen_at: datetime, due_before: datetime) -> None:
    """Count seeing the rows as a check if their last check was before ``due_before`` or missed them."""
    moment, due = _prepared(_fields(model)["checked_at"], [seen_at, due_before])
    names = [row["fullname"] for row in rows]
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_table(model)} SET last_seen_at = %s, checked_at = %s, missing_count = 0"  # noqa: S608  # as above
            f" WHERE {'fullname = ANY(%s)' if is_postgres else 'fullname IN (SELECT value FROM json_each(%s))'}"
            " AND (checked_at IS NULL OR checked_at < %s OR (missing_count > 0 AND checked_at <= %s))",
            [moment, moment, _array(names) if is_postgres else json.dumps(names), due, moment],
        )


def note_newest_comment(post_id: int, moment: datetime) -> None:
    """Set the time of the post's newest comment, unless a later one is stored."""
    (newest,) = _prepared(_fields(RedditPost)["newest_comment_at"], [moment])
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_table(RedditPost)} SET newest_comment_at = %s"  # noqa: S608  # as above
            " WHERE id = %s AND (newest_comment_at IS NULL OR newest_comment_at < %s)",
            [newest, post_id, newest],
        )


def note_sightings(fullnames: Sequence[str], *, config_id: int) -> None:
    """Store that a bot found these posts, unless the bot is deleted; existing rows are only read."""
    sightings, configs = _quote(PostSighting._meta.db_table), _quote(BotConfig._meta.db_table)
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {sightings} (post_id, config_id) SELECT post.id, config.id"  # noqa: S608  # as above
            f" FROM {_table(RedditPost)} AS post JOIN {configs} AS config ON config.id = %s"
            f" WHERE post.fullname {'= ANY(%s)' if is_postgres else 'IN (SELECT value FROM json_each(%s))'}"
            f" AND NOT EXISTS (SELECT 1 FROM {sightings} AS known"
            " WHERE known.post_id = post.id AND known.config_id = config.id)"
            " ON CONFLICT DO NOTHING",
            [config_id, _array(fullnames) if is_postgres else json.dumps(fullnames)],
        )


def update_changed(model: Content, rows: Sequence[Row], *, seen_at: datetime) -> set[str]:
    """Update the stored rows that differ from these; return their fullnames.

    All rows have the same keys. The caller has locked them and left out what was verified after ``seen_at``.
    """
    if not rows:
        return set()
    names = tuple(rows[0])
    columns = _columns(model, names, rows)
    (moment,) = _prepared(_fields(model)["checked_at"], [seen_at])
    is_postgres = connection.vendor == "postgresql"
    page = (
        list(map(_array, columns))
        if is_postgres
        else [value for row in zip(*columns, strict=True) for value in row]
    )
    with connection.cursor() as cursor:
        statement = _update_sql(model, names, len(rows), connection.vendor)
        cursor.execute(statement, [moment, moment, *page])
        return {fullname for (fullname,) in cursor.fetchall()}


# --- Values -------------------------------------------------------------------------------------


def _fields(model: Content) -> dict[str, Any]:
    return {field.attname: field for field in model._meta.concrete_fields}


def _columns(model: Content, names: Sequence[str], rows: Sequence[Row]) -> list[list[Any]]:
    fields = _fields(model)
    return [_prepared(fields[name], [row[name] for row in rows]) for name in names]


def _prepared(field: Any, values: list[Any]) -> list[Any]:
    """Return the values in the form that the database takes; texts, numbers and booleans need no change."""
    if isinstance(field, models.JSONField):
        return [None if value is None else json.dumps(value) for value in values]
    if isinstance(field, models.DateTimeField) and connection.vendor == "sqlite":
        # As Django does, but without reading the current time zone each time; the last six characters are "+00:00".
        return [
            None if value is None else value.astimezone(UTC).isoformat(" ")[: -len("+00:00")]
            for value in values
        ]
    return values


def _array(values: Sequence[Any]) -> str:
    """Return the text of a PostgreSQL array."""
    if None in values:
        return (
            "{" + ",".join("NULL" if value is None else f'"{_escaped(str(value))}"' for value in values) + "}"
        )
    # NUL, which no text here contains, separates the values while all of them are escaped at once.
    return '{"' + _escaped("\0".join(map(str, values))).replace("\0", '","') + '"}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


# --- Statements ---------------------------------------------------------------------------------


@cache
def _upsert_sql(model: Content, names: tuple[str, ...], constants: tuple[str, ...], vendor: str) -> str:
    said = [name for name in names if name not in _FIXED]
    into = f"INSERT INTO {_table(model)} AS stored ({_list((*names, *constants))})"
    conflict = (
        f"ON CONFLICT (fullname) DO UPDATE SET {_assign((*said, 'last_seen_at'), 'excluded')}"
        f" WHERE {_differs(said, 'excluded', vendor)}"
        " AND stored.last_seen_at <= excluded.last_seen_at"
        " AND (stored.checked_at IS NULL OR stored.checked_at <= excluded.checked_at)"
    )
    slots = ", ".join(["%s"] * len(constants))
    if vendor == "postgresql":
        # An inserted row version has no xmax, an updated one does.
        page = _page(model, names, vendor=vendor)
        return f"{into} SELECT {_list(names, 'page')}, {slots} FROM {page} {conflict} RETURNING xmax = 0"  # noqa: S608  # names of our own models
    return f"{into} VALUES ({', '.join(['%s'] * len(names))}, {slots}) {conflict}"


@cache
def _update_sql(model: Content, names: tuple[str, ...], rows: int, vendor: str) -> str:
    said = [name for name in names if name not in _FIXED]
    # SQLite does not accept the alias here; for PostgreSQL the fullname would be ambiguous without it.
    fullname = "stored.fullname" if vendor == "postgresql" else "fullname"
    return (
        f"UPDATE {_table(model)} AS stored SET {_assign(said, 'page')},"  # noqa: S608  # as above
        " last_seen_at = %s, checked_at = %s, missing_count = 0"
        f" FROM {_page(model, names, rows=rows, vendor=vendor)}"
        f" WHERE stored.fullname = page.fullname AND {_differs(said, 'page', vendor)}"
        f" RETURNING {fullname}"
    )


def _page(model: Content, names: Sequence[str], *, vendor: str, rows: int = 0) -> str:
    """Return the page's rows as a table called ``page``."""
    if vendor == "postgresql":
        arrays = ", ".join(f"%s::{_fields(model)[name].db_type(connection)}[]" for name in names)
        return f"unnest({arrays}) AS page ({_list(names)})"
    row = f"({', '.join(['%s'] * len(names))})"
    renamed = ", ".join(f"column{number} AS {_quote(name)}" for number, name in enumerate(names, start=1))
    return f"(SELECT {renamed} FROM (VALUES {', '.join([row] * rows)})) AS page"  # noqa: S608  # as above


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)


def _table(model: Content) -> str:
    return _quote(model._meta.db_table)


def _list(names: Iterable[str], table: str = "") -> str:
    return ", ".join(f"{table}.{_quote(name)}" if table else _quote(name) for name in names)


def _assign(names: Iterable[str], source: str) -> str:
    return ", ".join(f"{_quote(name)} = {source}.{_quote(name)}" for name in names)


def _differs(names: Sequence[str], source: str, vendor: str) -> str:
    operator = "IS DISTINCT FROM" if vendor == "postgresql" else "IS NOT"
    return f"({_list(names, 'stored')}) {operator} ({_list(names, source)})"
