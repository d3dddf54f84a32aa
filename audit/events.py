"""How a service writes an event, in the transaction of the change that it tells of."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import Error, models, transaction

from audit.models import Event
from database.messages import as_json, english_of

logger = logging.getLogger(__name__)

# The address of the request that this thread answers; services do not see requests.
_address: ContextVar[str | None] = ContextVar("audit_address", default=None)
# Whose shell it is that this process was started from to change something; None: it is nobody's.
_shell: ContextVar[str | None] = ContextVar("audit_shell", default=None)
WRITTEN_AT_ONCE = 500
# Where str() of a row says more than its name: that of a schedule holds its times.
NAME_FIELDS = {"django_celery_beat.PeriodicTask": "name"}


class Subject(NamedTuple):
    """What an event is about where that is no row, or where the row's own name must not be kept."""

    type: str
    id: str
    name: str


@contextmanager
def acting_from(address: str | None) -> Iterator[None]:
    """Record the events inside the block with this client address."""
    token = _address.set(_usable(address))
    try:
        yield
    finally:
        _address.reset(token)


@contextmanager
def acting_in_shell(name: str) -> Iterator[None]:
    """Say of the events that are recorded inside, and of which nobody is named, that a shell's user did it."""
    token = _shell.set(name)
    try:
        yield
    finally:
        _shell.reset(token)


def current_address() -> str | None:
    """Return the address of the request that this thread answers."""
    return _address.get()


def _usable(address: str | None) -> str | None:
    """Return the address without its interface; None for what is none, such as that of a Unix socket."""
    try:
        return str(ip_address((address or "").partition("%")[0]))
    except ValueError:
        return None


def record(
    verb: str,
    subject: models.Model | Subject,
    *,
    by: AbstractBaseUser | AnonymousUser | None = None,
    kind: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> Event:
    """Write down what was decided about a stored row.

    Args:
        verb: a code such as ``run.approved``, whose words are registered in ``audit.words``.
        subject: what it is about; its key and its name are copied.
        by: the person; None: the shell or the system, unless ``kind`` says that it was a token.
        kind: an Event.ActorKind.
        before: what was changed, as it was; a secret is never in here.
        after: as it is now.
        reason: the person's words.
        parameters: what else a reader wants to know; texts are kept by code.
    """
    event = _event(verb, subject, by, kind, before, after, reason, parameters)
    event.save(force_insert=True)
    return event


def try_to_record(verb: str, subject: models.Model | Subject, **about: Any) -> None:
    """Write down what is no change of ours, as ``record`` does; where that cannot be stored, the log has it.

    For what is over already, and whose own outcome must not be lost for the event.
    """
    try:
        with transaction.atomic():
            record(verb, subject, **about)
    except Error:  # a transaction that has failed, a database that is read-only, full, away or not migrated
        what = subject.name if isinstance(subject, Subject) else subject
        logger.exception("No event could be stored: %s %s %s", verb, what, about.get("parameters") or "")


def record_each(
    verb: str,
    subjects: Iterable[models.Model | Subject],
    *,
    by: AbstractBaseUser | AnonymousUser | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Write down the same about many rows, an event for each; for arguments see ``record``."""
    events = (_event(verb, subject, by, None, None, after, reason, None) for subject in subjects)
    while some := list(islice(events, WRITTEN_AT_ONCE)):
        Event.objects.bulk_create(some)


def _event(
    verb: str,
    subject: models.Model | Subject,
    by: AbstractBaseUser | AnonymousUser | None,
    kind: str | None,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    reason: str,
    parameters: Mapping[str, Any] | None,
) -> Event:
    person = by if isinstance(by, User) else None
    shell = _shell.get()
    if kind is None:
        kind = _kind_of(person, shell)
    is_shell = kind == Event.ActorKind.SHELL
    about = subject if isinstance(subject, Subject) else subject_of(subject)
    # A reason that the console itself gives is a sentence with a code.
    told = {name: parts for name, parts in as_json({"reason": reason}).items() if name != "reason"}
    return Event(
        actor_kind=kind,
        actor=person,
        actor_name=person.get_username() if person else (shell or "")[:150] if is_shell else "",
        address=_address.get(),
        verb=verb,
        subject_type=about.type,
        subject_id=about.id[:64],
        subject_name=about.name[:200],
        before=None if before is None else as_json(dict(before)),
        after=None if after is None else as_json(dict(after)),
        reason=english_of(reason),
        parameters={**as_json(dict(parameters or {})), **told} or None,
    )


def _kind_of(person: User | None, shell: str | None) -> str:
    if person:
        return Event.ActorKind.PERSON
    return Event.ActorKind.SYSTEM if shell is None else Event.ActorKind.SHELL


def subject_of(row: models.Model) -> Subject:
    """Return what an event keeps of a row that it is about."""
    name = getattr(row, NAME_FIELDS.get(row._meta.label, ""), None) or str(row)
    return Subject(row._meta.label, str(row.pk), str(english_of(name)))


def events_of(model: type[models.Model], keys: Iterable[Any]) -> models.QuerySet[Event]:
    """Return what happened to these rows, oldest first; they need not exist any more."""
    ids = [str(key) for key in keys]
    return Event.objects.filter(subject_type=model._meta.label, subject_id__in=ids).order_by("at", "pk")
