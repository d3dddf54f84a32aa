"""Comparisons of integer columns with numbers that are out of range."""

from typing import Any

from django.db import models
from django.db.models.fields.related_lookups import RelatedIn
from django.db.models.lookups import In


class _Bounded:
    """``IN`` without the numbers beyond the column's range, which no row can have.

    Django leaves them out for ``exact`` and the comparisons only: for ``in`` SQLite raises OverflowError and PostgreSQL
    ends the transaction, whoever typed the number into whichever form.
    """

    def process_rhs(self: Any, compiler: Any, connection: Any) -> Any:
        """Drop these numbers; with none left, Django treats the condition as false."""
        if self.rhs_is_direct_value():
            column = self.lhs.output_field
            column = getattr(column, "target_field", column)
            if not isinstance(column, models.IntegerField):
                return super().process_rhs(compiler, connection)  # type: ignore[misc]  # of the class behind
            low, high = connection.ops.integer_field_range(column.get_internal_type())
            self.rhs = [value for value in self.rhs if not isinstance(value, int) or low <= value <= high]
        return super().process_rhs(compiler, connection)  # type: ignore[misc]  # of the class behind


class BoundedIn(_Bounded, In):
    """Of a column of whole numbers."""


class BoundedRelatedIn(_Bounded, RelatedIn):
    """Of a foreign key."""


def register() -> None:
    """Use them for every column of whole numbers and every foreign key to one."""
    models.IntegerField.register_lookup(BoundedIn)
    models.ForeignKey.register_lookup(BoundedRelatedIn)
