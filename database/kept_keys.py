"""A foreign key that keeps its value after the row it refers to is deleted."""

from typing import Any

from django.db import models
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor


class _Kept(ForwardManyToOneDescriptor):
    def get_object(self, instance: models.Model) -> Any:
        """Return the row; None: it was deleted."""
        try:
            return super().get_object(instance)
        except self.field.remote_field.model.DoesNotExist:
            return None


class KeptForeignKey(models.ForeignKey):
    """Refers to a row whose deletion must not update all referring rows: the key stays, and the relation reads as None.

    PostgreSQL's sequences and SQLite's AUTOINCREMENT never reuse a key. A clean-up may set stale keys to null later.
    """

    forward_related_accessor_class = _Kept

    def __init__(self, to: Any, **kwargs: Any) -> None:
        kwargs |= {"on_delete": models.DO_NOTHING, "db_constraint": False, "null": True, "blank": True}
        super().__init__(to, **kwargs)
