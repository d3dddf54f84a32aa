"""Filters of the admin's lists that an index answers."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest


def rare_choices(common: str) -> type[admin.ChoicesFieldListFilter]:
    """Return a filter by a column's choices for a column whose partial index leaves out the value nearly all rows have.

    PostgreSQL concludes from "= 'author'" that it is "<> 'live'"; SQLite uses the index only where that is said.
    """

    class RareChoicesFilter(admin.ChoicesFieldListFilter):
        """A filter by the choices of a column."""

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
            """Keep the chosen ones."""
            found = super().queryset(request, queryset)
            if found is not None and self.lookup_val and str(self.lookup_val[-1]) != common:
                return found.exclude(**{self.field_path: common})
            return found

    return RareChoicesFilter
