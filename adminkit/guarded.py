"""Checks that the site adds to every admin class when it is registered, also to those of Django and other packages."""

from contextlib import suppress
from typing import Any, NoReturn

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.parameters import Lookups, RefusedParameter, clean_keys, clean_query, require_text


class NotForYou(Http404):
    """No such row for this person: the answer is the same for a missing row and for a row that belongs to others."""

    def __init__(self, verbose_name: Any) -> None:
        text = gettext("There is no such %(name)s, or your account has no permission to see it.")
        super().__init__(text % {"name": verbose_name})


class GuardedAdmin(admin.ModelAdmin):
    """Accepts only the parameters that the list offers, in the query string and the form; answers 400 to others.

    ``lookups`` of an admin names the columns by which links filter its list, in addition to those of its filters.
    """

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field without icons to add, change, delete and view: related rows are chosen here, not edited."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow what ``Lookups`` allows, which is far less than Django does."""
        return request is not None and Lookups(self, request).allows(lookup)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Check the query string and return the list.

        Raises:
            RefusedParameter: a parameter cannot be used.
        """
        clean_query(self, request)
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            if PAGE_VAR in request.GET:
                raise RefusedParameter(PAGE_VAR, _("The list has no such page.")) from error
            raise RefusedParameter(
                next(iter(request.GET), "?"), _("The list cannot be filtered so.")
            ) from error

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Check a form again if a row that came meanwhile refused it, such as of a second click: it says so in words."""
        if request.method == "POST":
            with suppress(IntegrityError, ValidationError), transaction.atomic():
                return super().changeform_view(request, object_id, form_url, extra_context)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row; an empty ``_to_field`` counts as absent."""
        return super().get_object(request, object_id, from_field or None)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Pass the reader to the form: ``adminkit.readonly`` links only pages that are open to them."""
        context["adminform"].form.request = request
        return super().render_change_form(request, context, *args, **kwargs)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> NoReturn:
        # Django redirects to the dashboard and asks "perhaps it was deleted?", even if the row is only invisible.
        raise NotForYou(opts.verbose_name)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search only for text that the database can compare; autocomplete uses this too."""
        require_text(SEARCH_VAR, search_term)
        return super().get_search_results(request, queryset, search_term)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> Any:
        """Run an action only on keys that can exist."""
        clean_keys(self.model, ACTION_CHECKBOX_NAME, request.POST)
        return super().response_action(request, queryset)


def guarded(admin_class: type[admin.ModelAdmin], *before: type[admin.ModelAdmin]) -> type[admin.ModelAdmin]:
    """Return the class with ``GuardedAdmin`` first in its bases, then the classes ``before``."""
    if issubclass(admin_class, GuardedAdmin):
        return admin_class
    members = {"__module__": admin_class.__module__, "__doc__": admin_class.__doc__}
    return type(admin_class.__name__, (GuardedAdmin, *before, admin_class), members)
