"""Rows that were read before and are locked now, to be changed."""

from typing import TypeVar, cast

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet

from database.messages import gettext as _

Row = TypeVar("Row", bound=Model)


class RowGone(ObjectDoesNotExist):
    """Somebody has deleted the row since it was read: pages and the API answer 404 with this text."""

    def __init__(self) -> None:
        super().__init__(_("It was deleted meanwhile, and nothing was changed: open the list again."))


def locked(row: Row) -> Row:
    """Return the row as it is stored now, locked until the transaction ends.

    Raises:
        RowGone.
    """
    # Not its type: that of ``request.user`` is a proxy.
    rows = cast("QuerySet[Row]", row._meta.model._default_manager.all())
    stored = rows.select_for_update().filter(pk=row.pk).first()
    if stored is None:
        raise RowGone
    return stored
