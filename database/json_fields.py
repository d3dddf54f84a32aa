"""JSON columns with a known shape: a value that is read always has that shape, even if the stored value has not.

A JSON column accepts any JSON. One row with a list instead of an object, written by an import or another version,
must not make a page of fifty rows fail, so a value of another shape is read as empty. Migrations see plain JSON
columns.
"""

from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform


class Unreadable(dict[str, Any]):
    """Represents a stored value that is not a JSON object: it is empty, but differs from a stored empty object."""


class _ShapedField(models.JSONField):
    def deconstruct(self) -> Any:
        """Describe a plain JSON column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the stored value in the field's shape."""
        # Most are empty, and a page reads hundreds.
        read = {} if value == "{}" else super().from_db_value(value, expression, connection)
        if isinstance(expression, KeyTransform):  # a part of the document, which may have any shape
            return read
        return None if read is None and self.null else self.shaped(read)

    def shaped(self, value: Any) -> Any:
        """Return the value if it has the shape, otherwise its substitute."""
        raise NotImplementedError


class JSONObjectField(_ShapedField):
    """Contains an object; anything else is read as ``Unreadable``."""

    def shaped(self, value: Any) -> Any:
        """Return an object."""
        return value if isinstance(value, dict) else Unreadable()


class JSONTextsField(_ShapedField):
    """Contains a list of texts; other items are left out."""

    def shaped(self, value: Any) -> Any:
        """Return a list of texts."""
        return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
