"""Small parts of pages, written as strings: in the cells of a long list a template of its own for each takes most of the time."""

from datetime import datetime
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.dateformat import format as date_text
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from adminkit.templatetags.display import ago, moment


def badge(kind: str, label: Any) -> str:
    """Return a status as its badge, as ``admin/_badge.html`` does."""
    return format_html('<span class="badge badge-{}">{}</span>', kind, capfirst(str(label)))


def time_ago(value: datetime) -> str:
    """Return how long ago a moment was, with the moment itself as its title."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        date_text(timezone.localtime(value), "c"),
        moment(value),
        ago(value),
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
