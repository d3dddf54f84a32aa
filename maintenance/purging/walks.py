"""The two ways in which a purge walks through a table, one window of rows after the other."""

from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models import Q
from django.db.models.sql.compiler import SQLCompiler

# The position of a walk, as JSON: [key, primary key], or a place in the table's storage.
Cursor = list[Any] | int


class Window(NamedTuple):
    """The rows that one batch looks at."""

    within: Any  # a condition, in addition to the queryset's own
    behind: Cursor | None


class KeyWalk:
    """Walks forward by (key, primary key): reads only rows to delete, each through the index."""

    def __init__(self, queryset: models.QuerySet[Any], cursor: Cursor | None, *, key: str) -> None:
        self._queryset, self._key = queryset, key
        self._fields = queryset.model._meta.get_field(key), queryset.model._meta.pk
        self.after = cursor

    def window(self, size: int) -> Window | None:
        """Return the next window, of ``size`` matching rows or all that are left; None: no row is left."""
        rows = self._queryset if self.after is None else self._queryset.filter(self._behind(self.after))
        pairs = rows.values_list(self._key, "pk")
        end = pairs.order_by(self._key, "pk")[size - 1 : size].first()
        if end is None:
            end = pairs.order_by(f"-{self._key}", "-pk").first()
        if end is None:
            return None
        cursor = [self._fields[0].value_to_string(self._queryset.model(**{self._key: end[0]})), end[1]]
        until = ~self._behind(cursor) & Q(**{f"{self._key}__lte": end[0]})
        return Window(until if self.after is None else self._behind(self.after) & until, cursor)

    def _behind(self, cursor: Cursor) -> Q:
        assert isinstance(cursor, list)
        key, pk = (field.to_python(value) for field, value in zip(self._fields, cursor, strict=True))
        # The first term looks redundant, but it lets the database use the index on the key.
        return Q(**{f"{self._key}__gte": key}) & (
            Q(**{f"{self._key}__gt": key}) | Q(**{self._key: key, "pk__gt": pk})
        )


class StorageWalk:
    """Walks forward over the table as it is stored, so that each page is read and written once.

    On PostgreSQL a place is a block of the heap, on SQLite a rowid. A row that moves behind the walk
    (PostgreSQL: an update) is missed; the verification at the end finds it.
    """

    def __init__(self, queryset: models.QuerySet[Any], cursor: Cursor | None, *, total: int) -> None:
        self._connection = connections[queryset.db]
        self._table = self._connection.ops.quote_name(queryset.model._meta.db_table)
        self._total = total
        self._blocks: int | None = None
        self.after: Any = cursor

    def window(self, size: int) -> Window | None:
        """Return the next window, of about ``size`` rows, matching or not; None: the table ends."""
        on_postgresql = self._connection.vendor == "postgresql"
        until = self._until_block(size) if on_postgresql else self._until_rowid(size)
        return None if until is None else Window(StoredBetween(self.after, until), until)

    def _until_block(self, size: int) -> int | None:
        after = self.after or 0
        if self._blocks is None:
            # Read once: rows that are added later are not part of this walk.
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int",
                    [self._table],
                )
                self._blocks = int(cursor.fetchone()[0])
        if after >= self._blocks:
            return None
        # A dense part of the table may follow a sparse one: never more blocks than the wanted number of rows.
        return min(self._blocks, after + max(1, min(size, size * self._blocks // max(self._total, 1))))

    def _until_rowid(self, size: int) -> int | None:
        behind = "" if self.after is None else f"WHERE rowid > {int(self.after)}"
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT coalesce((SELECT rowid FROM {self._table} {behind} ORDER BY rowid LIMIT 1 OFFSET %s),"  # noqa: S608  # a quoted name and an int
                f" (SELECT max(rowid) FROM {self._table} {behind}))",
                [size - 1],
            )
            found: int | None = cursor.fetchone()[0]
        return found


class StoredBetween(models.Expression):
    """Whether a row is stored behind one place and up to another (see StorageWalk)."""

    output_field = models.BooleanField()

    def __init__(self, after: int | None, until: int) -> None:
        super().__init__()
        self._after, self._until = after, until

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **_: Any) -> tuple[str, list[int]]:
        """Compare row ids."""
        rowid = f"{compiler.quote_name_unless_alias(compiler.query.get_initial_alias() or '')}.rowid"
        if self._after is None:
            return f"{rowid} <= %s", [self._until]
        return f"{rowid} > %s AND {rowid} <= %s", [self._after, self._until]

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **_: Any) -> tuple[str, list[str]]:
        """Compare addresses of rows, (block, number); PostgreSQL 14 and newer read only that range."""
        ctid = f"{compiler.quote_name_unless_alias(compiler.query.get_initial_alias() or '')}.ctid"
        return f"{ctid} >= %s::tid AND {ctid} < %s::tid", [f"({self._after or 0},0)", f"({self._until},0)"]
