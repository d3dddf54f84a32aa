"""What is deleted together with a row."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import models

from database.constraints import DatabaseOnDelete, OnDelete


def deleted_with(rows: Sequence[models.Model]) -> dict[Any, dict[str, int]]:
    """Return how many rows are deleted with each of these rows of one model, by its key and by model label.

    Further levels of the cascade are not counted. The number of queries does not grow with that of the rows.
    """
    found: dict[Any, dict[str, int]] = {row.pk: {} for row in rows}
    for relation in rows[0]._meta.related_objects if rows else ():
        field: Any = relation.field
        model: Any = relation.related_model
        # Entries of Django's log become events.
        if model is LogEntry or not _goes(model, field):
            continue
        referring = model._base_manager.filter(**{f"{field.name}__in": list(found)}).order_by()
        label = str(model._meta.label)
        for key, number in referring.values_list(field.attname).annotate(number=models.Count("pk")):
            found[key][label] = found[key].get(label, 0) + number
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
