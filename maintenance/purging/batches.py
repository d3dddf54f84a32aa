"""The purge engine's batches: the one way rows are deleted, whoever asks.

Plan → mandate → batches → verify: ``deletion`` conducts them, each has its own file. The
safety principle: a row goes only if the statement that deletes it finds that it still matches the whole
condition (age, holds, state), and the same transaction records the deletion. So a kill
at any moment loses at most one batch, which is rolled back.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import OperationalError, connections, models, transaction
from django.db.models import Q
from django.db.models.sql import DeleteQuery
from django.db.models.sql.compiler import SQLDeleteCompiler

from database.background import background_reads, take_time
from database.constraints import cascaded_children
from database.errors import Cause
from database.returning import Returning, delete_rows
from database.statement_timeout import statement_timeout
from maintenance.purging.passed_over import PassedOver, refusal_of
from maintenance.purging.walks import Cursor, KeyWalk, StorageWalk, Window

# A batch should take about this long. Longer ones are hardly faster, and a session that wants a row of a batch waits
# for the whole batch (ADR 7 has the figures).
BATCH_SECONDS = 0.030
BATCH_ROWS_FIRST = 500
BATCH_ROWS_MIN = 50
BATCH_ROWS_MAX = 20_000
# Walk over the whole table if at least this share of its rows is to be deleted; else along the index.
STORAGE_WALK_SHARE = 0.05
# Below half of PostgreSQL's deadlock_timeout (1 s): in a deadlock with a writer the purge gives up first.
LOCK_TIMEOUT_MS = 450
# Shorter while a refused window is halved: the purge has waited for it once, and tries locked rows again at the end.
LOCATE_TIMEOUT_MS = 60
# At most this many halvings in one walk (about half a minute); after that, refused rows are noted in groups.
NARROWINGS_MAX = 500
# How long rows that were passed over are tried again; at least once.
TRY_AGAIN_SECONDS = 5.0
# How often the walk waits for a whole table, or SQLite's database, before it ends; each wait is a bit longer.
REFUSALS_MAX = 8
REFUSED_SECONDS = 0.5

# Called inside a batch's transaction with all rows deleted so far, by model label, and the cursor behind them; None:
# still at the beginning.
Save = Callable[[Counter[str], Cursor | None], None]
# Watches which sessions block the one of this process id, while its body waits.
Watch = Callable[[int], AbstractContextManager[None]]


def delete_in_batches(
    queryset: models.QuerySet[Any],
    *,
    key: str | None,
    cursor: Cursor | None,
    save: Save,
    between: Callable[[Counter[str]], None],
    share: float = 0.0,
    total: int = 0,
    passed_over: PassedOver | None = None,
    undone: Callable[[], None] = lambda: None,
    returning: Returning | None = None,
) -> Counter[str]:
    """Delete the rows of ``queryset`` and their cascaded children in batches, each in its own transaction.

    Batches only move forward, so they never read again the dead rows that an old snapshot of another session
    keeps in the table. Rows that another session has locked are passed over and tried again at the end.

    Args:
        queryset: what to delete, by conditions on its own table only: they are part of the deleting statement.
        key: an indexed, non-null field; a walk that deletes few of many rows follows it; None: there is no such field.
        cursor: the cursor saved with the last batch of an earlier attempt.
        save: writes the counts and the cursor, inside the batch's transaction; raising rolls the batch back.
        between: called before each batch, outside any transaction, with the committed counts; raising stops the walk.
        share: the share of the table's rows that will be deleted, if it is known.
        total: about how many rows the table has.
        passed_over: collects the rows that could not be deleted, and the sessions that locked them.
        undone: called when what the last call of ``save`` wrote was rolled back and the walk goes on.
        returning: the expressions that are passed on for each deleted row of ``queryset``, not for its children.

    Returns:
        The rows deleted, by model label.

    Raises:
        FieldError: the condition joins other tables.
    """
    _refuse_joins(queryset)
    if key is None or isinstance(cursor, int) or (cursor is None and share >= STORAGE_WALK_SHARE):
        walk: StorageWalk | KeyWalk = StorageWalk(queryset, cursor, total=total)
    else:
        walk = KeyWalk(queryset, cursor, key=key)
    noted = passed_over or PassedOver(queryset.db)
    return _Batches(
        queryset, walk, save=save, between=between, undone=undone, passed_over=noted, returning=returning
    ).perform()


class _Outcome(NamedTuple):
    """The result of one batch."""

    window: Window | None = None
    # Why it was refused, if it was.
    refusal: Cause | None = None
    # Whether its rows caused the refusal: a smaller batch may succeed.
    is_of_rows: bool = False
    seconds: float = 0.0


class _Batches:
    """The batches of one walk."""

    def __init__(
        self,
        queryset: models.QuerySet[Any],
        walk: StorageWalk | KeyWalk,
        *,
        save: Save,
        between: Callable[[Counter[str]], None],
        undone: Callable[[], None],
        passed_over: PassedOver,
        returning: Returning | None,
    ) -> None:
        self._queryset, self._walk = queryset, walk
        self._save, self._between, self._undone = save, between, undone
        self._using, self._vendor = queryset.db, connections[queryset.db].vendor
        self._children = cascaded_children(queryset.model)
        self._passed_over, self._returning = passed_over, returning
        self._timeout = statement_timeout(self._using)
        self._size, self._rows_min = BATCH_ROWS_FIRST, BATCH_ROWS_MIN
        self._waits = 0
        self._narrowings_left = NARROWINGS_MAX
        self._gone: Counter[str] = Counter()

    def perform(self) -> Counter[str]:
        """Walk over all rows, then try again the rows that were passed over; return what was deleted."""
        while self._next():
            pass
        self._try_again()
        return self._gone

    def _next(self) -> bool:
        """Delete the rows of the next window, except those passed over; False: there is none, or the walk must end."""
        found = self._attempt(lambda: self._walk.window(self._size))
        if found.window is None and found.refusal is None:
            return False
        if found.refusal is None:
            self._size = _next_size(self._size, found.seconds, target=self._target, least=self._rows_min)
        elif not found.is_of_rows:
            return self._wait()
        elif found.refusal == Cause.TIMEOUT:
            self._rows_min = 1
            self._size = max(1, self._size // 2)
            self._narrow(self._rows_of(found.window))
        elif (again := self._attempt(lambda: found.window, is_asking=True)).refusal is not None:
            # Locked for longer than a writer needs, on the second try as well.
            if not again.is_of_rows or self._passed_over.holds_table or self._passed_over.is_unknown:
                return self._wait()
            self._narrow(self._rows_of(found.window))
        assert found.window is not None
        self._walk.after = found.window.behind
        return not self._passed_over.is_stuck

    def _attempt(
        self,
        find: Callable[[], Window | None],
        *,
        lock_timeout: int | None = None,
        is_asking: bool = False,
    ) -> _Outcome:
        """Perform one batch; ``find`` returns its window."""
        self._between(self._gone)
        started, window, is_deleted = time.monotonic(), None, False
        watch = self._passed_over.watched if is_asking else _unwatched
        try:
            with transaction.atomic(using=self._using):
                if self._timeout:
                    take_time(self._using)  # until the deletion sets it again
                window = find()
                if window is None:
                    return _Outcome()
                rows = self._queryset.filter(window.within)
                so_far = Counter(self._gone)
                if self._vendor == "postgresql":
                    timeouts = lock_timeout or LOCK_TIMEOUT_MS, self._timeout
                    so_far.update(
                        _delete_on_postgresql(rows, self._children, self._returning, timeouts, watch)
                    )
                else:
                    so_far.update(_delete_on_sqlite(rows, self._children, self._returning))
                is_deleted = True
                self._save(so_far, window.behind)
        except OperationalError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            self._passed_over.causes.add(refusal)
            if is_deleted:
                self._undone()
            is_of_rows = window is not None and not is_deleted and self._vendor == "postgresql"
            return _Outcome(window, refusal, is_of_rows)
        self._gone, self._waits = so_far, 0  # only now is it committed
        elapsed = time.monotonic() - started
        time.sleep(elapsed * (1 / throttle(self._vendor) - 1))
        return _Outcome(window, seconds=elapsed)

    @property
    def _target(self) -> float:
        return min(BATCH_SECONDS, self._timeout / 2_000) if self._timeout else BATCH_SECONDS

    def _wait(self) -> bool:
        """Pause before the next try of the same batch; False: it was refused too often, and the walk ends."""
        self._waits += 1
        if self._waits > REFUSALS_MAX:
            self._passed_over.is_stuck = True
            return False
        time.sleep(REFUSED_SECONDS * self._waits)
        return True

    # --- What is locked ---

    def _rows_of(self, window: Window | None) -> list[Any]:
        assert window is not None
        with background_reads(self._using):
            return list(self._queryset.filter(window.within).order_by("pk").values_list("pk", flat=True))

    def _narrow(self, rows: list[Any], *, is_asking: bool = False) -> bool:
        """Delete these rows, some of which were refused, by halving them; note each row that is refused on its own.

        False: the walk must end.
        """
        todo = _halves(rows)
        while todo:
            part = todo.pop()
            asking = is_asking and self._passed_over.is_asking
            window = Window(Q(pk__in=part), self._walk.after)
            done = self._attempt(
                partial(_itself, window),
                lock_timeout=None if asking else LOCATE_TIMEOUT_MS,
                is_asking=asking,
            )
            if done.refusal is None:
                continue
            if not done.is_of_rows or self._passed_over.holds_table:
                todo.append(part)
                if not self._wait():
                    self._passed_over.places += todo
                    return False
            elif len(part) == 1 or not self._narrowings_left:
                self._passed_over.places.append(part)
            else:
                self._narrowings_left -= 1
                todo += _halves(part)
        return True

    def _try_again(self) -> None:
        until = time.monotonic() + TRY_AGAIN_SECONDS
        while self._passed_over.places and not self._passed_over.is_stuck:
            self._narrowings_left = NARROWINGS_MAX
            places = self._passed_over.take()
            while places and self._narrow(places.pop(), is_asking=True):
                pass
            self._passed_over.places += places
            if not self._passed_over.places or time.monotonic() > until:
                return
            time.sleep(REFUSED_SECONDS)


def _itself(window: Window) -> Window:
    return window


@contextmanager
def _unwatched(_pid: int) -> Iterator[None]:
    yield


def _halves(rows: list[Any]) -> list[list[Any]]:
    """Return the second half, then the first, which is taken next; one row stays whole, no rows give an empty list."""
    middle = (len(rows) + 1) // 2
    return [half for half in (rows[middle:], rows[:middle]) if half]


def throttle(vendor: str) -> float:
    """Return the share of its time that a purge works; it pauses for the rest."""
    # SQLite has one writer at a time: pausing as long as a batch took lets the others in.
    default = {"postgresql": 1.0, "sqlite": 0.5}[vendor]
    return settings.PURGE_THROTTLE or default


# --- Deleting --------------------------------------------------------------------------------


def _delete_on_postgresql(
    rows: models.QuerySet[Any],
    children: list[models.ForeignObject],
    returning: Returning | None,
    timeouts: tuple[int, int],
    watch: Watch,
) -> Counter[str]:
    """Delete by one statement whose cascade the database performs.

    The server itself counts the rows that a transaction deletes from each table: they need not be counted, or
    locked, before. ``timeouts`` are those of a lock and of a statement, in ms.
    """
    using = rows.db
    labels = [field.model._meta.label for field in children]
    tables = [connections[using].ops.quote_name(field.model._meta.db_table) for field in children]
    deleted = ", ".join("pg_stat_get_xact_tuples_deleted(%s::regclass)" for _ in tables)
    with connections[using].cursor() as cursor:
        # Waiting longer for a lock would make others wait behind us. The commit need not wait for the disk: if the
        # server crashes, the batch and its cursor are lost together, and the next attempt deletes the rows again.
        cursor.execute(
            "SELECT pg_backend_pid(), current_setting('track_counts'), set_config('lock_timeout', %s, true),"
            " set_config('statement_timeout', %s, true), set_config('synchronous_commit', 'off', true)"
            f"{', ' if deleted else ''}{deleted}",
            [*(f"{timeout}ms" for timeout in timeouts), *tables],
        )
        pid, track_counts, _lock, _statement, _commit, *before = cursor.fetchone()
        if tables and track_counts != "on":
            raise ImproperlyConfigured("PostgreSQL's track_counts is off: a purge counts by it. Turn it on.")
        with watch(pid):
            counts = Counter({rows.model._meta.label: delete_rows(rows, returning)})
        if tables:
            cursor.execute(f"SELECT {deleted}", tables)
            for label, start, end in zip(labels, before, cursor.fetchone(), strict=True):
                counts[label] = end - start
    return counts


def _delete_on_sqlite(
    rows: models.QuerySet[Any], children: list[models.ForeignObject], returning: Returning | None
) -> Counter[str]:
    """Delete the children, one statement per table, then the rows; SQLite has one writer, so no row changes between."""
    counts: Counter[str] = Counter()
    for field in children:
        referring = field.model._default_manager.filter(**{f"{field.name}__in": rows.order_by().values("pk")})
        counts[field.model._meta.label] += referring._raw_delete(rows.db)
    counts[rows.model._meta.label] += delete_rows(rows, returning)
    return counts


def _refuse_joins(queryset: models.QuerySet[Any]) -> None:
    # With a join Django deletes by a list of keys. PostgreSQL would then not check the condition again after it has
    # waited for a row that somebody changed, such as by a hold.
    query = queryset.query.chain(klass=DeleteQuery)
    compiler = query.get_compiler(queryset.db)
    assert isinstance(compiler, SQLDeleteCompiler)
    if not compiler.single_alias:
        raise FieldError(
            f"A purge of {queryset.model._meta.verbose_name_plural} must not join other tables: use a subquery."
        )


def _next_size(size: int, elapsed: float, *, target: float = BATCH_SECONDS, least: int | None = None) -> int:
    # At most double or halve: one slow batch (a checkpoint, a cold cache) must not decide alone.
    factor = min(2.0, max(0.5, target / max(elapsed, 0.001)))
    return int(min(BATCH_ROWS_MAX, max(BATCH_ROWS_MIN if least is None else least, size * factor)))
