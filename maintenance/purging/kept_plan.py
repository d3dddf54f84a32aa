"""The plans that runs keep as JSON; one that cannot be read is left out instead of raising."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from maintenance.purging.plan import TablePlan


def tables_of(plan: Mapping[str, Any] | None) -> list[TablePlan]:
    """Return the tables of a kept plan, without those that ``TablePlan.as_json`` did not write."""
    kept = (plan or {}).get("tables")
    tables = [_table(values) for values in kept] if isinstance(kept, list) else []
    return [table for table in tables if table is not None]


def made_at(plan: Mapping[str, Any] | None) -> datetime | None:
    """Return when a kept plan was made; None for no plan, or a plan without a time."""
    return _moment((plan or {}).get("at"))


def _table(values: Any) -> TablePlan | None:
    try:
        table = TablePlan.from_json(values)
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    return table if _is_sound(table) else None


def _is_sound(table: TablePlan) -> bool:
    numbers = [table.rows, table.total, table.held, *(held.rows for held in table.held_reasons)]
    perhaps = [table.bytes, table.left, *(row.pk for row in table.sample)]
    moments = [table.cutoff, table.oldest, table.newest]
    return (
        isinstance(table.model, str)
        and all(type(number) is int for number in numbers)
        and all(number is None or type(number) is int for number in perhaps)
        and all(text is None or _moment(text) for text in moments)
        and all(_moment(row.at) for row in table.sample)
        and isinstance(table.by_month, dict)
        and all(type(number) is int for number in table.by_month.values())
    )


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
