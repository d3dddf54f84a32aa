"""How the admin shows read-only values: it links only pages that are open to the reader, and translates its icons.

Django links a related row without checking permissions, and names its icons "True" and "False". No setting and no
attribute of an admin class changes that, so ``register`` replaces two names of Django: ``helpers.AdminReadonlyField``
and the private ``admin_list._boolean_icon``. After an upgrade of Django look here first: the tests of this module fail
if one of them is gone, or if Django no longer looks it up by that name.
"""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.templatetags import admin_list
from django.contrib.admin.utils import lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _

from adminkit.templatetags.display import moment

ICONS = {True: "yes", False: "no", None: "unknown"}


class ReadonlyField(helpers.AdminReadonlyField):
    """A field that links a related row only for people who may see it."""

    def contents(self) -> Any:
        """Return the value: a moment as everywhere; a method's None is shown as empty, where Django writes "None"."""
        try:
            field, method, value = lookup_field(self.field["field"], self.form.instance, self.model_admin)
        except (AttributeError, ValueError, ObjectDoesNotExist):
            return super().contents()
        if field is None and value is None and not getattr(method, "boolean", False):
            return self.empty_value_display
        if isinstance(value, datetime) and timezone.is_aware(value):
            return moment(value)
        return super().contents()

    def get_admin_url(self, remote_field: Any, remote_obj: Any) -> str:
        """Return the row's name, linked if its page is open to the reader."""
        request = getattr(self.form, "request", None)
        site = getattr(self.model_admin, "admin_site", None)
        if request is None or site is None or not is_open(site, request, remote_obj):
            return str(remote_obj)
        return super().get_admin_url(remote_field, remote_obj)


def is_open(site: admin.AdminSite, request: HttpRequest, row: Any) -> bool:
    """Return whether the person may see the row's page."""
    if not site.is_registered(type(row)):
        return False
    model_admin = site.get_model_admin(type(row))
    if not model_admin.has_view_or_change_permission(request, row):
        return False
    return model_admin.get_queryset(request).filter(pk=row.pk).exists()


def boolean_icon(value: bool | None) -> str:
    """Return the icon of a boolean with its name in the reader's language."""
    name = {True: _("Yes"), False: _("No"), None: _("Unknown")}[value]
    return format_html('<img src="{}" alt="{}">', static(f"admin/img/icon-{ICONS[value]}.svg"), name)


def register() -> None:
    """Replace Django's field and icon by these."""
    helpers.AdminReadonlyField = ReadonlyField  # type: ignore[misc]
    admin_list._boolean_icon = boolean_icon  # type: ignore[attr-defined]
