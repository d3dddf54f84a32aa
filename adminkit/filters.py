"""List filters of the admin that use an index."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from database.text import row_key


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


class PeopleFilter(admin.SimpleListFilter):
    """Rows of one person. The menu offers the first by name, and says if there are more; the address takes any."""

    shown_max = 100
    has_more = False
    is_verbatim = True

    def people(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the people that can be chosen, by name."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the first of them, and the chosen one."""
        people = self.people(request)
        first = [_offered(person) for person in people[: self.shown_max + 1]]
        self.has_more, first = len(first) > self.shown_max, first[: self.shown_max]
        chosen = self.value()
        if not self.has_more or not chosen or chosen in dict(first):
            return first
        return [*first, *map(_offered, people.filter(pk=row_key(chosen)))]


def _offered(person: Any) -> tuple[str, str]:
    return str(person.pk), person.get_username()
