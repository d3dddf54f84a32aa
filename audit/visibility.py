"""Who may see which events.

With ``audit.view_event`` a person sees all events and their client addresses. Without it, a person sees their own
events, and events about rows that they may see: all rows of a model whose view permission they have, or, for a model
with owners, the rows that are visible to them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.db.models import QuerySet

Person = User | AnonymousUser

SEE_ALL = "audit.view_event"
# No row has a longer key.
KEY_DIGITS_MAX = 18
# Models with owners, whose queryset has ``visible_to``; the value: whether the view permission is needed too.
_owned: dict[type[models.Model], bool] = {}


def register_owned(model: type[models.Model], *, needs_view_permission: bool = True) -> None:
    """Register a model of which a person may see some rows only."""
    _owned[model] = needs_view_permission


def sees_all(user: Person) -> bool:
    """Whether the person sees every event."""
    return user.is_active and user.has_perm(SEE_ALL)


class Candidate(NamedTuple):
    """The columns of an event that decide who may see it."""

    pk: int
    subject_type: str
    subject_id: str
    actor_id: int | None


def visible_among(events: Sequence[Candidate], user: Person) -> set[int]:
    """Return the keys of the events that the person may see, with one query for each kind that has owners.

    It is not a condition of the list's own query: PostgreSQL would check it for every event in the table.
    """
    if not user.is_active or user.pk is None:
        return set()
    if sees_all(user):
        return {event.pk for event in events}
    shown = {event.pk for event in events if event.actor_id == user.pk}
    for label in {event.subject_type for event in events}:
        about = [event for event in events if event.subject_type == label]
        rows = _rows_seen(label, user)
        if rows is None:
            continue
        if not rows.query.where and not rows.query.is_empty():
            shown |= {event.pk for event in about}  # also events about deleted rows
            continue
        keys = {int(event.subject_id) for event in about if is_number(event.subject_id)}
        seen = set(rows.order_by().filter(pk__in=keys).values_list("pk", flat=True))
        shown |= {
            event.pk for event in about if is_number(event.subject_id) and int(event.subject_id) in seen
        }
    return shown


def _rows_seen(label: str, user: Person) -> QuerySet[Any] | None:
    """Return the rows of a model that the person sees; None: there is no such model, or they may see no row of it."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    if _owned.get(model, True) and not user.has_perm(
        f"{model._meta.app_label}.view_{model._meta.model_name}"
    ):
        return None
    rows = model._default_manager
    return rows.visible_to(user) if model in _owned else rows.all()  # type: ignore[no-any-return]


def is_number(key: str) -> bool:
    """Return whether a row can have this key."""
    return key.isascii() and key.isdigit() and len(key) <= KEY_DIGITS_MAX
