"""Columns of lists."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Model

from adminkit.templatetags.display import moment


def moment_column(model: type[Model], name: str) -> Callable[[Any], str]:
    """Return a column that shows a time field as all pages do, with its zone: 2026-11-24 03:01:35 UTC+8."""
    field: Any = model._meta.get_field(name)

    @admin.display(description=field.verbose_name, ordering=name)
    def column(row: Any) -> str:
        return moment(getattr(row, name))

    column.__name__ = name  # the class of the cells
    return column
