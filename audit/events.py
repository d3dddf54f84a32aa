"""How a service writes an event, in the transaction of the change that it tells of."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import models

from audit.models import Event
from database.messages import english_of

# The address of the request that this thread answers; services do not see requests.
_address: ContextVar[str | None] = ContextVar("audit_address", default=None)


@contextmanager
def acting_from(address: str | None) -> Iterator[None]:
    """Record the events inside the block with this client address."""
    token = _address.set(_usable(address))
    try:
        yield
    finally:
        _address.reset(token)


def _usable(address: str | None) -> str | None:
    """Return the address without its interface; None for what is none, such as that of a Unix socket."""
    try:
        return str(ip_address((address or "").partition("%")[0]))
    except ValueError:
        return None


def record(
    verb: str,
    subject: models.Model,
    *,
    by: User | AnonymousUser | None = None,
    kind: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> Event:
    """Write down what was decided about a stored row.

    Args:
        verb: a code such as ``run.approved``.
        subject: what it is about; its key and its name are copied.
        by: the person; None: the system, unless ``kind`` says that it was a shell or a token.
        kind: an Event.ActorKind.
        before: what was changed, as it was; a secret is never in here.
        after: as it is now.
        reason: the person's words.
        parameters: what the words for the verb need.
    """
    person = by if isinstance(by, User) else None
    return Event.objects.create(
        actor_kind=kind or (Event.ActorKind.PERSON if person else Event.ActorKind.SYSTEM),
        actor=person,
        actor_name=person.get_username() if person else "",
        address=_address.get(),
        verb=verb,
        subject_type=subject._meta.label,
        subject_id=str(subject.pk),
        subject_name=english_of(str(subject))[:200],
        before=before,
        after=after,
        reason=reason,
        parameters=parameters,
    )


def events_of(model: type[models.Model], keys: Iterable[Any]) -> models.QuerySet[Event]:
    """Return what happened to these rows, oldest first; they need not exist any more."""
    ids = [str(key) for key in keys]
    return Event.objects.filter(subject_type=model._meta.label, subject_id__in=ids).order_by("pk")
