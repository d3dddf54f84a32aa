"""What is deleted together with a row."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import models

from database.constraints import DatabaseOnDelete, OnDelete


def deleted_with(row: models.Model) -> dict[str, int]:
    """Return how many rows are deleted with this one, by model label; further levels of the cascade are not counted."""
    found: dict[str, int] = {}
    for relation in row._meta.related_objects:
        field: Any = relation.field
        model: Any = relation.related_model
        # Entries of Django's log become events.
        if model is LogEntry or not _goes(model, field):
            continue
        number = model._base_manager.filter(**{field.name: row.pk}).order_by().count()
        if number:
            label = str(model._meta.label)
            found[label] = found.get(label, 0) + number
    return found


def _goes(model: type[models.Model], field: Any) -> bool:
    if getattr(field.remote_field, "on_delete", None) is models.CASCADE:
        return True
    return any(
        isinstance(constraint, DatabaseOnDelete)
        and constraint.field == field.name
        and constraint.action == OnDelete.CASCADE
        for constraint in model._meta.constraints
    )
