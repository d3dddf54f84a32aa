"""Who may see which events.

With ``audit.view_event`` all of them, and where they came from. Without it a person sees what they did themselves, and the
events about what they may see anyway: of every model whose view permission they have, and of what has owners only what
is shown to them.
"""

from typing import Any, TypeVar

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.db.models import BigIntegerField, Case, Exists, OuterRef, Q, QuerySet, When
from django.db.models.functions import Cast

Person = User | AnonymousUser
Events = TypeVar("Events", bound="QuerySet[Any]")

SEE_ALL = "audit.view_event"
# Models with owners, whose queryset has ``visible_to``; and whether the view permission is needed too.
_owned: dict[type[models.Model], bool] = {}


def register_owned(model: type[models.Model], *, needs_view_permission: bool = True) -> None:
    """Make known that not everybody who may see a model sees all its rows."""
    _owned[model] = needs_view_permission


def sees_all(user: Person) -> bool:
    """Whether the person sees every event."""
    return user.is_active and user.has_perm(SEE_ALL)


def visible_to(events: Events, user: Person) -> Events:
    """Return those of the events that the person may see."""
    if not user.is_active or user.pk is None:
        return events.none()
    if sees_all(user):
        return events
    shown = Q(actor_id=user.pk)
    whole: list[str] = []
    for model in apps.get_models():
        needs = _owned.get(model, True)
        if needs and not user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
            continue
        rows = model._default_manager.visible_to(user) if model in _owned else None  # type: ignore[attr-defined]
        if rows is None or not rows.query.where:
            whole.append(model._meta.label)  # also about those that are gone
        elif not rows.query.is_empty():
            theirs = Exists(rows.order_by().filter(pk=OuterRef("subject_key")))
            shown |= Q(Q(subject_type=model._meta.label), theirs)
    # A key that is no number is that of no row of theirs; PostgreSQL would refuse to cast it.
    key = Case(
        When(subject_id__regex=r"^[0-9]{1,18}$", then=Cast("subject_id", BigIntegerField())),
        output_field=BigIntegerField(),
    )
    return events.alias(subject_key=key).filter(shown | Q(subject_type__in=whole))
