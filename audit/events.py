"""Writes events, in the transaction of the change that they record."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import Error, models, transaction

from audit.models import Event
from database.errors import first_line
from database.messages import as_json, english_of

logger = logging.getLogger(__name__)

# The client address of the request that this thread answers; services do not see requests.
_address: ContextVar[str | None] = ContextVar("audit_address", default=None)
# The user of the shell from which this process was started to change something; None: there is none.
_shell: ContextVar[str | None] = ContextVar("audit_shell", default=None)
# Whether the current request is signed by a token, not by a browser's session.
_by_token: ContextVar[bool] = ContextVar("audit_by_token", default=False)
WRITTEN_AT_ONCE = 500
# Models whose str() has more than the name: that of a schedule contains its times.
NAME_FIELDS = {"django_celery_beat.PeriodicTask": "name"}


class Change(NamedTuple):
    """One of many events that are recorded together; for the fields see ``record``."""

    subject: "models.Model | Subject"
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None


class Subject(NamedTuple):
    """The subject of an event, if that is not a row, or if the row's own name must not be kept."""

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
def acting_by_token() -> Iterator[None]:
    """Attribute the events of people inside the block to their tokens."""
    token = _by_token.set(True)
    try:
        yield
    finally:
        _by_token.reset(token)


@contextmanager
def acting_in_shell(name: str) -> Iterator[None]:
    """Attribute events inside the block to a shell's user, unless they name another actor."""
    token = _shell.set(name)
    try:
        yield
    finally:
        _shell.reset(token)


def current_address() -> str | None:
    """Return the client address of the request that this thread answers."""
    return _address.get()


def acting_as_now() -> Callable[[], AbstractContextManager[None]]:
    """Return what attributes later events to the client address, and the kind of sign-in, of this moment."""
    address, by_token = _address.get(), _by_token.get()

    @contextmanager
    def acting() -> Iterator[None]:
        kept = _by_token.set(by_token)
        try:
            with acting_from(address):
                yield
        finally:
            _by_token.reset(kept)

    return acting


def _usable(address: str | None) -> str | None:
    """Return the IP address without its interface; None if it is not one, such as that of a Unix socket."""
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
    """Record a decision about a stored row.

    Args:
        verb: a code such as ``run.approved``, whose words are registered in ``audit.words``.
        subject: what it is about; its key and name are copied.
        by: the person; None: the shell or the system, or a token if ``kind`` says so.
        kind: an Event.ActorKind.
        before: the old values of what has changed; never a secret.
        after: the new values.
        reason: the person's words.
        parameters: other facts for the reader; texts are kept by code.
    """
    event = _event(verb, subject, by, kind, before, after, reason, parameters)
    event.save(force_insert=True)
    return event


def try_to_record(verb: str, subject: models.Model | Subject, **about: Any) -> None:
    """Record, as ``record`` does, something that this transaction did not change; log it if it cannot be stored.

    For something that has already happened: a failure to record it must not change its outcome.
    """
    try:
        with transaction.atomic():
            record(verb, subject, **about)
    except (
        Error
    ) as error:  # a failed transaction, or a database that is read-only, full, unreachable or not migrated
        what = subject.name if isinstance(subject, Subject) else subject
        # Without a stack trace: the line says all that the operator needs, often on a terminal.
        parameters = about.get("parameters") or ""
        logger.error("No event could be stored: %s %s %s: %s", verb, what, parameters, first_line(error))


def record_each(
    verb: str,
    subjects: Iterable[models.Model | Subject],
    *,
    by: AbstractBaseUser | AnonymousUser | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Record the same about many rows, one event for each; for the arguments see ``record``."""
    record_changes(verb, (Change(subject, after=after) for subject in subjects), by=by, reason=reason)


def record_changes(
    verb: str,
    changes: Iterable[Change],
    *,
    by: AbstractBaseUser | AnonymousUser | None = None,
    reason: str = "",
) -> None:
    """Record what happened to each of many rows, one event for each; for the arguments see ``record``."""
    events = (
        _event(verb, change.subject, by, None, change.before, change.after, reason, change.parameters)
        for change in changes
    )
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
    # A reason given by the console itself is a sentence with a code.
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
        return Event.ActorKind.TOKEN if _by_token.get() else Event.ActorKind.PERSON
    return Event.ActorKind.SYSTEM if shell is None else Event.ActorKind.SHELL


def subject_of(row: models.Model) -> Subject:
    """Return a row as the subject of an event."""
    name = getattr(row, NAME_FIELDS.get(row._meta.label, ""), None) or str(row)
    return Subject(row._meta.label, str(row.pk), str(english_of(name)))


def events_of(model: type[models.Model], keys: Iterable[Any]) -> models.QuerySet[Event]:
    """Return the events of these rows, oldest first; the rows may have been deleted."""
    ids = [str(key) for key in keys]
    return Event.objects.filter(subject_type=model._meta.label, subject_id__in=ids).order_by("at", "pk")
