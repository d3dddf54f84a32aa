"""Pages by key: a page begins where another one ended, so rows added or deleted meanwhile neither hide nor repeat others.

A page of OFFSET reads all rows before it. A page by key reads its own rows from an index, wherever it is.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from django.db import connections, models
from django.db.models import F, Model, Q, QuerySet, Value
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.dateparse import parse_datetime

Row = TypeVar("Row", bound=Model)

KEY_MAX: Final = 2**63 - 1
# Far more than the cursors of these columns have.
CURSOR_MAX: Final = 200
_STORED: Final = "keyset_value"


class BadCursor(ValueError):
    """The cursor is none that a page of this order has given."""


@dataclass(frozen=True)
class Place:
    """The place of a row: its key, and its value of the column in the form in which the database compares it."""

    key: int
    value: Any = None


@dataclass(frozen=True)
class Order:
    """The order of a list: by a column and then by key, both in one direction; null comes after every value.

    The column is a time, a text or an integer, and begins an index; without a column the key alone decides. Where it
    ``has_nulls``, a page of the ascending order is no range of the index, but a walk along it.
    """

    column: str = ""
    is_descending: bool = True
    has_nulls: bool = False

    @property
    def reverse(self) -> "Order":
        """The same order from its other end."""
        return replace(self, is_descending=not self.is_descending)

    def terms(self) -> list[Any]:
        """Return what ``order_by`` takes."""
        key = "-pk" if self.is_descending else "pk"
        if not self.column:
            return [key]
        column = F(self.column)
        # As PostgreSQL's indexes have it. SQLite has nulls at the other end, and reads its index in either way.
        ordered = column.desc(nulls_first=True) if self.is_descending else column.asc(nulls_last=True)
        return [ordered, key]

    def behind(self, place: Place, *, itself: bool = False) -> Q:
        """Return the condition for the rows that come after the place in this order; with its own row: ``itself``."""
        side = ("lt" if self.is_descending else "gt") + ("e" if itself else "")
        key = Q(**{f"pk__{side}": place.key})
        if not self.column:
            return key
        is_null = Q(**{f"{self.column}__isnull": True})
        if place.value is None:
            return (~is_null | key) if self.is_descending else (is_null & key)
        strict = "lt" if self.is_descending else "gt"
        # The first part is the range of the index, the second takes the equal values apart.
        found = Q(**{f"{self.column}__{strict}e": place.value}) & (
            Q(**{f"{self.column}__{strict}": place.value}) | key
        )
        return found | is_null if self.has_nulls and not self.is_descending else found


NEWEST: Final = Order()


@dataclass(frozen=True)
class KeyPage(Generic[Row]):
    """The rows of a page in their order, and the places from which its neighbours continue; None: there is none."""

    rows: list[Row]
    before: Place | None
    after: Place | None


def read(
    rows: QuerySet[Row],
    order: Order = NEWEST,
    *,
    size: int,
    after: Place | None = None,
    before: Place | None = None,
) -> KeyPage[Row]:
    """Return the first page, or the one that follows or precedes a place; one query.

    The page on the other side of the place is taken to exist: its rows may have been deleted since.
    """
    place = after or before
    heading = order.reverse if after is None and before is not None else order
    if place is not None:
        rows = rows.filter(heading.behind(place))
    found = list(with_values(rows, order).order_by(*heading.terms())[: size + 1])
    is_more, shown = len(found) > size, found[:size]
    ahead = place_of(shown[-1], order) if is_more else None
    behind = place_of(shown[0], order) if shown and place is not None else None
    if heading == order:
        return KeyPage(shown, before=behind, after=ahead)
    return KeyPage(shown[::-1], before=ahead, after=behind)


def place_of(row: Any, order: Order) -> Place:
    """Return the place of a row that has its value (``with_values``)."""
    if not order.column:
        return Place(row.pk)
    stored = getattr(row, _STORED, None)
    return Place(row.pk, getattr(row, order.column) if stored is None else _text(stored))


def encoded(place: Place, order: Order = NEWEST) -> str:
    """Return the cursor of a place: text that an address can hold."""
    value = place.value.value if isinstance(place.value, Value) else place.value
    told = [value.isoformat() if isinstance(value, datetime) else value, place.key]
    text = json.dumps(told if order.column else place.key, separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(cursor: str, rows: QuerySet[Any], order: Order = NEWEST) -> Place:
    """Return the place of a cursor.

    Raises:
        BadCursor: no page of this order has given it.
    """
    if len(cursor) > CURSOR_MAX:
        raise BadCursor
    try:
        told = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadCursor from error
    match [None, told] if not order.column else told:
        case [value, int(key)] if _is_between(key, 1, KEY_MAX) and (
            value is not None or order.has_nulls or not order.column
        ):
            return Place(key, None if value is None else _value(value, rows, order.column))
    raise BadCursor


def _value(value: Any, rows: QuerySet[Any], column: str) -> Any:
    """Return the value of a cursor as its column is compared."""
    field: Any = rows.model._meta.get_field(column)
    match field:
        case models.DateTimeField():
            return _moment(value, rows)
        case models.IntegerField():
            low, high = connections[rows.db].ops.integer_field_range(field.get_internal_type())
            if _is_between(value, low, high):
                return value
        case models.CharField() if isinstance(value, str) and "\0" not in value and value.isprintable():
            return value
    raise BadCursor


def _moment(value: Any, rows: QuerySet[Any]) -> Any:
    try:
        moment = parse_datetime(value)
    except (TypeError, ValueError) as error:
        raise BadCursor from error
    if moment is None or not 1900 <= moment.year <= 2200:
        raise BadCursor
    if connections[rows.db].vendor == "sqlite":
        return _text(value)
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment, UTC)


def _text(stored: str) -> Value:
    """Return a stored time as it is: Django would write it anew, in Python's form."""
    return Value(stored, output_field=models.TextField())


def with_values(rows: QuerySet[Row], order: Order) -> QuerySet[Row]:
    """Add the stored text of a time on SQLite, which compares texts: ".123" of its clock is not Python's ".123000"."""
    if not order.column or connections[rows.db].vendor != "sqlite":
        return rows
    if not isinstance(rows.model._meta.get_field(order.column), models.DateTimeField):
        return rows
    found: QuerySet[Row] = rows.annotate(**{_STORED: Cast(order.column, models.TextField())})
    return found


def _is_between(value: Any, low: Any, high: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
