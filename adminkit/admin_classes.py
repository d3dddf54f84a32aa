"""Admin classes that several apps share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from adminkit.key_list import KeyList, KeyPaginator
from adminkit.links import select_box


@contextmanager
def holding_for_edit(request: HttpRequest, row: Model | None) -> Iterator[None]:
    """Lock the row of a posted form before it is read, until the edit is saved; viewing it locks nothing."""
    if request.method != "POST" or row is None:
        yield
        return
    with transaction.atomic():
        list(type(row)._default_manager.select_for_update().filter(pk=row.pk).values_list("pk"))
        yield


class PlainBoxes(admin.ModelAdmin):
    """Draws the boxes of the actions as strings: a form's widget for each row takes as long as the rest of the row."""

    def action_checkbox(self, obj: Model) -> SafeString:
        """Return the box, labelled as Django's."""
        label = gettext("Select this object for an action - {}").format(obj)
        return select_box(ACTION_CHECKBOX_NAME, obj.pk, label)


class ReadOnlyAdmin(PlainBoxes):
    """For records that grow without bound: they are read-only, and the list has pages by key.

    Each column of ``sortable_by`` orders by the key, or by a column that begins an index.
    """

    list_per_page = 50
    list_max_show_all = 0
    paginator = KeyPaginator
    has_pages_by_key = True
    sortable_by: ClassVar[tuple[str, ...]] = ()
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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list with pages by key."""
        return KeyList

    def is_list(self, request: HttpRequest) -> bool:
        """Whether the request shows the list, which does not need the long columns."""
        match: Any = request.resolver_match
        return bool(match and match.url_name and match.url_name.endswith("_changelist"))


class PersonalAdmin(PlainBoxes):
    """Gives its form the user as `form.person`: permissions and the owner of a new row depend on it."""

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form class with its person; Django makes a new one for each request."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.person = request.user
        return form
