"""A foreign key that outlives the row it names."""

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
    """To a row whose deletion must not rewrite all that point to it: the key stays, and reads as None.

    Keys are never given twice, by PostgreSQL's sequences and SQLite's AUTOINCREMENT; whoever cares sets them to null later.
    """

    forward_related_accessor_class = _Kept

    def __init__(self, to: Any, **kwargs: Any) -> None:
        kwargs |= {"on_delete": models.DO_NOTHING, "db_constraint": False, "null": True, "blank": True}
        super().__init__(to, **kwargs)
