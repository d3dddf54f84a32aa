"""Comparisons of integer columns with numbers that are out of range."""

from typing import Any

from django.db import models
from django.db.models.fields.related_lookups import RelatedIn
from django.db.models.lookups import In


class _Bounded:
    """``IN`` without numbers outside the column's range, which no row can have.

    Django handles them for ``exact`` and the comparisons only: for ``in`` SQLite raises OverflowError and PostgreSQL
    aborts the transaction, so any number typed into a form could cause an error page.
    """

    def process_rhs(self: Any, compiler: Any, connection: Any) -> Any:
        """Remove these numbers; if none is left, Django treats the condition as false."""
        if self.rhs_is_direct_value():
            column = self.lhs.output_field
            column = getattr(column, "target_field", column)
            if not isinstance(column, models.IntegerField):
                return super().process_rhs(compiler, connection)  # type: ignore[misc]  # of the class behind
            low, high = connection.ops.integer_field_range(column.get_internal_type())
            self.rhs = [value for value in self.rhs if not isinstance(value, int) or low <= value <= high]
        return super().process_rhs(compiler, connection)  # type: ignore[misc]  # of the class behind


class BoundedIn(_Bounded, In):
    """``IN`` on an integer column."""


class BoundedRelatedIn(_Bounded, RelatedIn):
    """``IN`` on a foreign key."""


def register() -> None:
    """Register both for every integer column and every foreign key to one."""
    models.IntegerField.register_lookup(BoundedIn)
    models.ForeignKey.register_lookup(BoundedRelatedIn)
