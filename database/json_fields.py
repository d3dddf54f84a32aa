"""JSON columns whose shape is known: what is read from one has that shape, whoever wrote it.

A JSON column takes anything. One row with a list where an object belongs, by an import or another version, must not
make a page of fifty rows an error, so what does not fit is read as empty. Migrations see plain JSON columns.
"""

from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform


class Unreadable(dict[str, Any]):
    """Stands for a stored value that is no JSON object: empty, and distinguishable from a stored empty object."""


class _ShapedField(models.JSONField):
    def deconstruct(self) -> Any:
        """Describe a plain JSON column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the stored value in its shape."""
        read = super().from_db_value(value, expression, connection)
        if isinstance(expression, KeyTransform):  # a part of it has any shape
            return read
        return None if read is None and self.null else self.shaped(read)

    def shaped(self, value: Any) -> Any:
        """Return the value if it fits, else what stands for it."""
        raise NotImplementedError


class JSONObjectField(_ShapedField):
    """Holds an object; anything else is read as ``Unreadable``."""

    def shaped(self, value: Any) -> Any:
        """Return an object."""
        return value if isinstance(value, dict) else Unreadable()


class JSONTextsField(_ShapedField):
    """Holds a list of texts; other items are left out."""

    def shaped(self, value: Any) -> Any:
        """Return a list of texts."""
        return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
