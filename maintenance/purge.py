"""The purge engine's batches: the one way rows are deleted, whoever asks.

Plan → cap → batches → verify; ``plan`` and ``cap`` have their own files, ``context`` ties them together. The
safety principle: a row goes only if the statement that deletes it finds that it still matches the whole
condition (age, holds, state), and the transaction of that statement also writes down that it did. So a kill
at any moment loses at most a batch that never happened.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import OperationalError, connections, models, transaction
from django.db.models import Q
from django.db.models.sql import DeleteQuery
from django.db.models.sql.compiler import SQLCompiler, SQLDeleteCompiler

from database.constraints import cascaded_children

# A batch should take about this long. Longer ones are hardly faster, and whoever wants a row of a batch waits
# for the whole of it (ADR 7 has the figures).
BATCH_SECONDS = 0.030
BATCH_ROWS_FIRST = 500
BATCH_ROWS_MIN = 50
BATCH_ROWS_MAX = 20_000
# Walk over the whole table where at least this share of its rows goes; else along the index.
STORAGE_WALK_SHARE = 0.05
# Below half of PostgreSQL's deadlock_timeout (1 s): in a deadlock with a writer the purge is who gives up.
LOCK_TIMEOUT_MS = 450
# PostgreSQL's codes of a lock not granted, a deadlock, a serialization failure: the same batch may pass later.
TRY_AGAIN = frozenset({"55P03", "40P01", "40001"})
REFUSALS_MAX = 8
REFUSED_SECONDS = 0.5

# Where a walk is, as JSON: [key, primary key], or a place in the table's storage.
Cursor = list[Any] | int
# Called inside a batch's transaction with all rows deleted so far, by model label, and the cursor behind them.
Save = Callable[[Counter[str], Cursor], None]


class Window(NamedTuple):
    """The rows that one batch looks at."""

    within: Any  # a condition, beside the queryset's own
    behind: Cursor


def delete_in_batches(
    queryset: models.QuerySet[Any],
    *,
    key: str,
    cursor: Cursor | None,
    save: Save,
    between: Callable[[Counter[str]], None],
    share: float = 0.0,
    total: int = 0,
) -> Counter[str]:
    """Delete the rows of ``queryset`` and their cascaded children, batch by batch, each its own transaction.

    Batches move forward over windows and never look back, so that a snapshot held elsewhere, for which dead
    rows must stay, slows nothing down.

    Args:
        queryset: what to delete, by conditions on its own table only: they are part of the deleting statement.
        key: an indexed, non-null field, along which a walk goes that deletes few of many rows.
        cursor: the cursor saved with the last batch of an earlier attempt.
        save: writes the counts and the cursor, inside the batch's transaction; raising undoes the batch.
        between: called before each batch, outside any transaction, with the committed counts; raising stops.
        share: the share of the table's rows that goes, if it is known.
        total: about how many rows the table has.

    Returns:
        The rows deleted, by model label.

    Raises:
        FieldError: the condition joins other tables.
    """
    _refuse_joins(queryset)
    using, vendor = queryset.db, connections[queryset.db].vendor
    delete = {"postgresql": _delete_on_postgresql, "sqlite": _delete_on_sqlite}[vendor]
    children = cascaded_children(queryset.model)
    if isinstance(cursor, int) or (cursor is None and share >= STORAGE_WALK_SHARE):
        walk: StorageWalk | KeyWalk = StorageWalk(queryset, cursor, total=total)
    else:
        walk = KeyWalk(queryset, cursor, key=key)
    size = BATCH_ROWS_FIRST
    gone: Counter[str] = Counter()
    refusals = 0
    while True:
        between(gone)
        started = time.monotonic()
        try:
            with transaction.atomic(using=using):
                window = walk.window(size)
                if window is None:
                    return gone
                so_far = Counter(gone)
                so_far.update(delete(queryset.filter(window.within), children))
                save(so_far, window.behind)
        except OperationalError as error:
            refusals += 1
            if getattr(error.__cause__, "pgcode", None) not in TRY_AGAIN or refusals > REFUSALS_MAX:
                raise
            size = max(BATCH_ROWS_MIN, size // 2)
            time.sleep(REFUSED_SECONDS * refusals)
            continue
        gone, refusals = so_far, 0  # only now is it true
        walk.after = window.behind
        elapsed = time.monotonic() - started
        size = _next_size(size, elapsed)
        time.sleep(elapsed * (1 / throttle(vendor) - 1))


def throttle(vendor: str) -> float:
    """Return the share of its time that a purge works; it pauses for the rest."""
    # SQLite has one writer at a time: pausing as long as a batch took lets the others in.
    default = {"postgresql": 1.0, "sqlite": 0.5}[vendor]
    return settings.PURGE_THROTTLE or default


# --- Walks -----------------------------------------------------------------------------------


class KeyWalk:
    """Forward by (key, primary key): reads only rows that go, each through the index."""

    def __init__(self, queryset: models.QuerySet[Any], cursor: Cursor | None, *, key: str) -> None:
        self._queryset, self._key = queryset, key
        self._fields = queryset.model._meta.get_field(key), queryset.model._meta.pk
        self.after = cursor

    def window(self, size: int) -> Window | None:
        """Return the next window, of ``size`` doomed rows or all that are left; None: no row is left."""
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
        # The first term looks redundant; it is what lets the database use the index on the key.
        return Q(**{f"{self._key}__gte": key}) & (
            Q(**{f"{self._key}__gt": key}) | Q(**{self._key: key, "pk__gt": pk})
        )


class StorageWalk:
    """Forward over the table as it is stored, so that each page is read and written once.

    On PostgreSQL a place is a block of the heap, on SQLite a rowid. A row that moves to a place behind the
    walk (PostgreSQL: an update) is left over; whoever verifies finds it.
    """

    def __init__(self, queryset: models.QuerySet[Any], cursor: Cursor | None, *, total: int) -> None:
        self._connection = connections[queryset.db]
        self._table = self._connection.ops.quote_name(queryset.model._meta.db_table)
        self._total = total
        self._blocks: int | None = None
        self.after: Any = cursor

    def window(self, size: int) -> Window | None:
        """Return the next window, of about ``size`` rows whether they go or not; None: the table ends."""
        on_postgresql = self._connection.vendor == "postgresql"
        until = self._until_block(size) if on_postgresql else self._until_rowid(size)
        return None if until is None else Window(StoredBetween(self.after, until), until)

    def _until_block(self, size: int) -> int | None:
        after = self.after or 0
        if self._blocks is None:
            # Once: what is added behind them is new, and not what this walk is about.
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int",
                    [self._table],
                )
                self._blocks = int(cursor.fetchone()[0])
        if after >= self._blocks:
            return None
        # A sparse part of the table may be followed by a dense one: never more blocks than rows were asked for.
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
        """Compare addresses of rows, (block, number); PostgreSQL 14 and newer read just that range."""
        ctid = f"{compiler.quote_name_unless_alias(compiler.query.get_initial_alias() or '')}.ctid"
        return f"{ctid} >= %s::tid AND {ctid} < %s::tid", [f"({self._after or 0},0)", f"({self._until},0)"]


# --- Deleting --------------------------------------------------------------------------------


def _delete_on_postgresql(rows: models.QuerySet[Any], children: list[models.ForeignObject]) -> Counter[str]:
    """Delete by one statement whose cascade the database performs.

    The server itself counts the rows that a transaction deletes from each table: nothing need be counted
    before, nor locked so that the count stays true.
    """
    using = rows.db
    labels = [field.model._meta.label for field in children]
    tables = [connections[using].ops.quote_name(field.model._meta.db_table) for field in children]
    deleted = ", ".join("pg_stat_get_xact_tuples_deleted(%s::regclass)" for _ in tables)
    with connections[using].cursor() as cursor:
        # Waiting longer for a lock would make others wait behind us. And a batch lost in a crash of the
        # server is found again, because its cursor is lost with it: no need to wait for the disk.
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config('synchronous_commit', 'off', true),"
            f" current_setting('track_counts'){', ' if deleted else ''}{deleted}",
            [f"{LOCK_TIMEOUT_MS}ms", *tables],
        )
        _timeout, _commit, track_counts, *before = cursor.fetchone()
        if tables and track_counts != "on":
            raise ImproperlyConfigured("PostgreSQL's track_counts is off: a purge counts by it. Turn it on.")
        counts = Counter({rows.model._meta.label: rows._raw_delete(using)})
        if tables:
            cursor.execute(f"SELECT {deleted}", tables)
            for label, start, end in zip(labels, before, cursor.fetchone(), strict=True):
                counts[label] = end - start
    return counts


def _delete_on_sqlite(rows: models.QuerySet[Any], children: list[models.ForeignObject]) -> Counter[str]:
    """Delete the children by one statement each, then the rows; as the one writer, nobody comes between."""
    counts: Counter[str] = Counter()
    for field in children:
        doomed = field.model._default_manager.filter(**{f"{field.name}__in": rows.order_by().values("pk")})
        counts[field.model._meta.label] += doomed._raw_delete(rows.db)
    counts[rows.model._meta.label] += rows._raw_delete(rows.db)
    return counts


def _refuse_joins(queryset: models.QuerySet[Any]) -> None:
    # With a join Django deletes by a list of keys, and PostgreSQL would not look at the condition again when
    # it has waited for a row that somebody changed, such as by a hold.
    query = queryset.query.chain(klass=DeleteQuery)
    compiler = query.get_compiler(queryset.db)
    assert isinstance(compiler, SQLDeleteCompiler)
    if not compiler.single_alias:
        raise FieldError(
            f"A purge of {queryset.model._meta.verbose_name_plural} must not join other tables: use a subquery."
        )


def _next_size(size: int, elapsed: float) -> int:
    # At most double or halve: one slow batch (a checkpoint, a cold cache) must not decide alone.
    factor = min(2.0, max(0.5, BATCH_SECONDS / max(elapsed, 0.001)))
    return int(min(BATCH_ROWS_MAX, max(BATCH_ROWS_MIN, size * factor)))
