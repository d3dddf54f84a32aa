"""Permissions as check boxes, grouped by model, with plain names."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.forms.models import ModelChoiceIterator
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

# Django creates these four permissions for each model.
_VERBS = {"view": _("see"), "add": _("add"), "change": _("change"), "delete": _("delete")}
# The names of models of packages that have no translation of their own.
_UNTRANSLATED = (gettext_noop("authenticators"),)


def plain_name(permission: Permission) -> str:
    """Return what a permission allows, in the reader's language, without its model, which the group names."""
    model = permission.content_type.model_class()
    verb, _separator, rest = permission.codename.partition("_")
    if model is not None and rest == model._meta.model_name and verb in _VERBS:
        return str(capfirst(str(_VERBS[verb])))
    declared = dict(model._meta.permissions) if model is not None else {}
    return str(declared.get(permission.codename, gettext(permission.name)))


def group_name(permission: Permission) -> str:
    """Return the model of a permission, or the name of a table whose app is not installed any more."""
    model = permission.content_type.model_class()
    if model is None:
        return gettext("%(name)s (no longer installed)") % {"name": permission.content_type.model}
    # Packages have names that they do not translate.
    return str(capfirst(gettext(str(model._meta.verbose_name_plural))))


class Group(str):
    """The title of a group of permissions."""

    is_internal: bool = False


def _is_internal(permission: Permission) -> bool:
    """Whether no page asks for the permissions of this table."""
    model = permission.content_type.model_class()
    if model is None:
        return True
    asked = {name.rpartition("_")[2] for name in settings.OPERATOR_PERMISSIONS}
    return not admin.site.is_registered(model) and model._meta.model_name not in asked


def _place(permission: Permission) -> tuple[bool, str, int, str]:
    """Sort models with a page before internal tables, and the right to view before the right to delete."""
    verbs = list(_VERBS)
    verb = permission.codename.partition("_")[0]
    is_plain = permission.codename == f"{verb}_{permission.content_type.model}" and verb in verbs
    return (
        _is_internal(permission),
        group_name(permission),
        verbs.index(verb) if is_plain else len(verbs),
        permission.codename,
    )


class PermissionGroups(ModelChoiceIterator):
    """The choices in groups of (title, [choice, …])."""

    def __iter__(self) -> Iterator[Any]:
        """Yield each group once."""
        groups: dict[tuple[str, str], list[Any]] = {}
        titles: dict[tuple[str, str], Group] = {}
        for permission in sorted(self.queryset, key=_place):
            key = (permission.content_type.app_label, group_name(permission))
            groups.setdefault(key, []).append(self.choice(permission))
            titles[key] = Group(key[1])
            titles[key].is_internal = _is_internal(permission)
        return iter([(titles[key], choices) for key, choices in groups.items()])


class PermissionBoxes(forms.CheckboxSelectMultiple):
    """Check boxes in one fieldset per group, so that screen readers read the group's name."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render the groups; the internal tables are folded, unless one of their boxes is checked."""
        context = self.get_context(name, value, attrs)
        groups = context["widget"]["optgroups"]
        internal = [(title, boxes) for title, boxes, _index in groups if getattr(title, "is_internal", False)]
        context["groups"] = [
            (title, boxes) for title, boxes, _index in groups if (title, boxes) not in internal
        ]
        context["internal"] = internal
        context["is_open"] = any(box["selected"] for _title, boxes in internal for box in boxes)
        return render_to_string("accounts/_permission_boxes.html", context)


class PermissionsField(forms.ModelMultipleChoiceField):
    """Chooses permissions by their plain names."""

    iterator = PermissionGroups
    widget = PermissionBoxes

    def label_from_instance(self, permission: Any) -> str:
        """Return the plain name."""
        return plain_name(permission)
