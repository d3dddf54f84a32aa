"""Admin classes that several apps share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from adminkit.paginator import BoundedPaginator


@contextmanager
def holding_for_edit(request: HttpRequest, row: Model | None) -> Iterator[None]:
    """Lock the row of a posted form before it is read, until the edit is saved; viewing it locks nothing."""
    if request.method != "POST" or row is None:
        yield
        return
    with transaction.atomic():
        list(type(row)._default_manager.select_for_update().filter(pk=row.pk).values_list("pk"))
        yield


class ReadOnlyAdmin(admin.ModelAdmin):
    """For records that grow without bound: they are read-only, and the list reads a bounded number of rows."""

    list_per_page = 50
    list_max_show_all = 0
    paginator = BoundedPaginator
    show_full_result_count = False
    # "Show counts" would count the table once for each choice of each filter.
    show_facets = admin.ShowFacets.NEVER
    actions: Sequence[Any] | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def is_list(self, request: HttpRequest) -> bool:
        """Whether the request shows the list, which does not need the long columns."""
        match: Any = request.resolver_match
        return bool(match and match.url_name and match.url_name.endswith("_changelist"))


class PersonalAdmin(admin.ModelAdmin):
    """Gives its form the user as `form.person`: permissions and the owner of a new row depend on it."""

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form class with its person; Django makes a new one for each request."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.person = request.user
        return form
