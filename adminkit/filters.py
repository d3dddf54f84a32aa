"""List filters of the admin that use an index."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest


def rare_choices(common: str) -> type[admin.ChoicesFieldListFilter]:
    """Return a filter by choices, for a column with a partial index that excludes the most common value.

    PostgreSQL derives "<> 'live'" from "= 'author'"; SQLite uses the index only if the query states both conditions.
    """

    class RareChoicesFilter(admin.ChoicesFieldListFilter):
        """A filter by the choices of a column."""

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
            """Return the rows with a chosen value."""
            found = super().queryset(request, queryset)
            if found is not None and self.lookup_val and str(self.lookup_val[-1]) != common:
                return found.exclude(**{self.field_path: common})
            return found

    return RareChoicesFilter
