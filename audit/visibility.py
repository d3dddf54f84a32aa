"""Who may see which events.

With ``audit.view_event`` all of them, and where they came from. Without it a person sees what they did themselves, and the
events about what they may see anyway: of every model whose view permission they have, and of what has owners only what
is shown to them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.db.models import QuerySet

Person = User | AnonymousUser

SEE_ALL = "audit.view_event"
# Longer keys are those of no row.
KEY_DIGITS_MAX = 18
# Models with owners, whose queryset has ``visible_to``; and whether the view permission is needed too.
_owned: dict[type[models.Model], bool] = {}


def register_owned(model: type[models.Model], *, needs_view_permission: bool = True) -> None:
    """Make known that not everybody who may see a model sees all its rows."""
    _owned[model] = needs_view_permission


def sees_all(user: Person) -> bool:
    """Whether the person sees every event."""
    return user.is_active and user.has_perm(SEE_ALL)


class Candidate(NamedTuple):
    """What of an event decides who may see it."""

    pk: int
    subject_type: str
    subject_id: str
    actor_id: int | None


def visible_among(events: Sequence[Candidate], user: Person) -> set[int]:
    """Return the keys of those events that the person may see: one query for each kind that has owners.

    Not a condition of the list's own query: PostgreSQL would ask it of every event there is.
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
            shown |= {event.pk for event in about}  # also about those that are gone
            continue
        keys = {int(event.subject_id) for event in about if is_number(event.subject_id)}
        seen = set(rows.order_by().filter(pk__in=keys).values_list("pk", flat=True))
        shown |= {
            event.pk for event in about if is_number(event.subject_id) and int(event.subject_id) in seen
        }
    return shown


def _rows_seen(label: str, user: Person) -> QuerySet[Any] | None:
    """Return the rows of a model that the person sees; None: it is no model, or they may not see the model at all."""
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
    """Return whether a key can be that of a row."""
    return key.isascii() and key.isdigit() and len(key) <= KEY_DIGITS_MAX
