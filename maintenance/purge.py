"""The purge engine: the one way rows are deleted, whoever asks.

Plan → batches → verify. The safety principle: a row goes only if, in the transaction that deletes it, it is
locked and still matches the whole condition (age, holds, state); and the transaction that deletes it also
writes down that it did. So a kill at any moment loses at most a batch that never happened.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connections, models, transaction
from django.db.models import Q

from database.constraints import cascaded_children

# A batch should take about this long, so that nobody waits behind it.
BATCH_SECONDS = 0.25
BATCH_ROWS_FIRST = 500
BATCH_ROWS_MIN = 50
BATCH_ROWS_MAX = {"postgresql": 5_000, "sqlite": 200}
# SQLite has one writer at a time: pausing as long as a batch took lets the others in.
PAUSE_SHARE = {"postgresql": 0.0, "sqlite": 1.0}
LOCK_TIMEOUT_MS = 2_000
# PostgreSQL's codes of a lock not granted, a deadlock, a serialization failure: the same batch may pass later.
TRY_AGAIN = frozenset({"55P03", "40P01", "40001"})
REFUSALS_MAX = 8
REFUSED_SECONDS = 0.5

# Called inside a batch's transaction with all rows deleted so far, by model label, and the cursor behind them.
Save = Callable[[Counter[str], list[Any]], None]


@dataclass(frozen=True)
class PlanRow:
    """What a purge would do to one table."""

    model: str  # label, such as scraping.RedditPost
    verbose_name: str
    rows: int
    total: int
    cutoff: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return the row as the API and ``--json`` show it."""
        return {
            "model": self.model,
            "rows": self.rows,
            "total": self.total,
            "cutoff": self.cutoff.isoformat() if self.cutoff else None,
        }


def plan(queryset: models.QuerySet[Any], *, cutoff: datetime | None) -> list[PlanRow]:
    """Count what deleting ``queryset`` would delete: its own rows first, then what the database cascades."""

    def row(model: type[models.Model], rows: int) -> PlanRow:
        return PlanRow(
            model=model._meta.label,
            verbose_name=str(model._meta.verbose_name_plural),
            rows=rows,
            total=model._default_manager.count(),
            cutoff=cutoff,
        )

    rows = [row(queryset.model, queryset.count())]
    for field in cascaded_children(queryset.model):
        doomed = field.model._default_manager.filter(
            **{f"{field.name}__in": queryset.order_by().values("pk")}
        )
        rows.append(row(field.model, doomed.count()))
    return rows


def delete_in_batches(
    queryset: models.QuerySet[Any],
    *,
    key: str,
    cursor: list[Any] | None,
    save: Save,
    between: Callable[[Counter[str]], None],
) -> Counter[str]:
    """Delete the rows of ``queryset`` and their cascaded children, batch by batch, each its own transaction.

    Args:
        queryset: what to delete; the condition is checked again under the lock of each batch.
        key: an indexed, non-null field; batches walk forward by (key, primary key) and never look back.
        cursor: ``[key, primary key]`` behind the last finished batch of an earlier attempt.
        save: writes the counts and the cursor, inside the batch's transaction; raising undoes the batch.
        between: called before each batch, outside any transaction, with the committed counts; raising stops.

    Returns:
        The rows deleted, by model label.
    """
    model = queryset.model
    vendor = connections[queryset.db].vendor
    children = cascaded_children(model)
    key_field, pk_field = model._meta.get_field(key), model._meta.pk
    size = min(BATCH_ROWS_FIRST, BATCH_ROWS_MAX[vendor])
    after = [key_field.to_python(cursor[0]), pk_field.to_python(cursor[1])] if cursor else None
    gone: Counter[str] = Counter()
    refusals = 0
    while True:
        between(gone)
        started = time.monotonic()
        try:
            with transaction.atomic(using=queryset.db):
                _be_a_good_neighbour(queryset.db, vendor)
                rows = queryset if after is None else queryset.filter(_behind(key, after))
                batch = list(rows.order_by(key, "pk").select_for_update().values_list(key, "pk")[:size])
                if not batch:
                    return gone
                so_far = Counter(gone)
                so_far.update(_delete_batch(model, children, [pk for _, pk in batch], queryset.db))
                behind = list(batch[-1])
                save(so_far, [key_field.value_to_string(model(**{key: behind[0]})), behind[1]])
        except OperationalError as error:
            refusals += 1
            if getattr(error.__cause__, "pgcode", None) not in TRY_AGAIN or refusals > REFUSALS_MAX:
                raise
            time.sleep(REFUSED_SECONDS * refusals)
            continue
        gone, after, refusals = so_far, behind, 0  # only now is it true
        elapsed = time.monotonic() - started
        size = _next_size(size, elapsed, BATCH_ROWS_MAX[vendor])
        time.sleep(elapsed * PAUSE_SHARE[vendor])


def _delete_batch(
    model: type[models.Model], children: list[models.ForeignObject], doomed: list[Any], using: str
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for field in children:
        rows = field.model._default_manager.filter(**{f"{field.name}__in": doomed})
        counts[field.model._meta.label] += rows.count()
    counts[model._meta.label] += model._default_manager.filter(pk__in=doomed)._raw_delete(using)
    return counts


def _behind(key: str, after: list[Any]) -> Q:
    # The first term looks redundant; it is what lets the database use the index on the key.
    return Q(**{f"{key}__gte": after[0]}) & (
        Q(**{f"{key}__gt": after[0]}) | Q(**{key: after[0], "pk__gt": after[1]})
    )


def _next_size(size: int, elapsed: float, largest: int) -> int:
    # At most double or halve: one slow batch (a checkpoint, a cold cache) must not decide alone.
    factor = min(2.0, max(0.5, BATCH_SECONDS / max(elapsed, 0.001)))
    return int(min(largest, max(BATCH_ROWS_MIN, size * factor)))


def _be_a_good_neighbour(using: str, vendor: str) -> None:
    if vendor != "postgresql":
        return
    with connections[using].cursor() as cursor:
        # Waiting longer for a lock would make others wait behind us.
        cursor.execute("SET LOCAL lock_timeout = %s", [f"{LOCK_TIMEOUT_MS}ms"])
        # A batch lost in a crash of the server is found again: its cursor is lost with it.
        cursor.execute("SET LOCAL synchronous_commit = off")
