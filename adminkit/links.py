"""Badges and links to admin pages."""

from typing import Any

from django.db.models import Model
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html


def badge(kind: str, label: Any) -> str:
    """Return a status as its badge."""
    return render_to_string("admin/_badge.html", {"kind": kind, "label": label})


def link(model: type[Model], view: str, text: Any, *args: Any, query: str = "") -> str:
    """Return a link to an admin page of ``model``."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)
    return format_html('<a href="{}{}">{}</a>', url, query, text)
