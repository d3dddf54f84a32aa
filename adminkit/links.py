"""Small parts of pages, written as strings: in the cells of a long list a template of its own for each takes most of the time."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from adminkit.moments import with_zone
from adminkit.templatetags.display import ago


def badge(kind: str, label: Any) -> str:
    """Return a status as its badge, as ``admin/_badge.html`` does."""
    return format_html('<span class="badge badge-{}">{}</span>', kind, capfirst(str(label)))


def choice_label(row: Model, name: str) -> Any:
    """Return the label of a row's choice, as ``get_…_display`` does, which translates the labels of all choices each time."""
    value = getattr(row, name)
    return _labels(type(row), name).get(value, value)


@cache
def _labels(model: type[Model], name: str) -> Mapping[Any, Any]:
    """Return the lazy labels of a field's choices."""
    field: Any = model._meta.get_field(name)
    return dict(field.flatchoices)


def time_ago(value: datetime) -> str:
    """Return how long ago a moment was, with the moment itself as its title."""
    here = timezone.localtime(value)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', here.isoformat(), with_zone(here), ago(value)
    )


def select_box(name: str, value: Any, label: Any) -> SafeString:
    """Return the box that selects a row of a list for an action."""
    return format_html(
        '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
        name,
        value,
        label,
    )


def link(model: type[Model], view: str, text: Any, *args: Any, query: str = "") -> str:
    """Return a link to an admin page of ``model``."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)
    return format_html('<a href="{}{}">{}</a>', url, query, text)
