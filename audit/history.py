"""Converts the entries of Django's admin log, which the console no longer writes, to events.

The previous release still writes entries while both run, so every ``migrate`` converts those that it finds. The
deletion of a person converts theirs, which Django would delete. An entry is deleted in the same transaction in which
its event is written, so the conversion is idempotent. The previous release shows such events among its entries.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.utils.translation import gettext_noop

from audit import words
from audit.models import Event
from database.messages import from_json

# The verb of a converted entry.
ENTRY = "history.entry"
words.register({ENTRY: gettext_noop("changed (of an earlier release)")})
NO_OBJECT = "–"
WRITTEN_AT_ONCE = 500


def move_entries(*, using: str = DEFAULT_DB_ALIAS, batch: int = WRITTEN_AT_ONCE, **_: Any) -> int:
    """Convert all entries to events, one transaction per batch; return how many. A receiver of ``post_migrate``."""
    moved = 0
    tables = set(_tables(using))
    if not {LogEntry._meta.db_table, Event._meta.db_table} <= tables:
        return 0
    while number := _move(LogEntry.objects.using(using).all(), using, batch):
        moved += number
    return moved


def _tables(using: str) -> list[str]:
    from django.db import connections

    return connections[using].introspection.table_names()


def _move(entries: QuerySet[LogEntry], using: str, batch: int) -> int:
    with transaction.atomic(using=using):
        # Another process may do the same: it has to wait, and then finds the next entries.
        locked = entries.order_by("pk").select_for_update(of=("self",))
        some = list(locked.select_related("content_type", "user")[:batch])
        Event.objects.using(using).bulk_create(map(_as_event, some))
        LogEntry.objects.using(using).filter(pk__in=[entry.pk for entry in some]).delete()
    return len(some)


@receiver(pre_delete, sender=User, dispatch_uid="audit.keep_entries")
def keep_entries(*, instance: User, using: str, **_kwargs: Any) -> None:
    """Convert the person's entries to events, in the transaction that deletes the person and the entries."""
    entries = LogEntry.objects.using(using).filter(user=instance)
    while _move(entries, using, WRITTEN_AT_ONCE):
        pass


def _as_event(entry: LogEntry) -> Event:
    message = entry.change_message
    before, after, reason, parts = _change_in(message)
    return Event(
        at=entry.action_time,
        actor_kind=Event.ActorKind.PERSON,
        actor_id=entry.user_id,
        actor_name=entry.user.get_username(),
        verb=ENTRY,
        subject_type=_label(entry),
        subject_id=(entry.object_id or NO_OBJECT)[:64],
        subject_name=entry.object_repr[:200],
        before=before,
        after=after,
        reason=reason,
        # In the form that the previous release reads.
        parameters={"flag": entry.action_flag, "message": message, "entry": entry.pk, **parts},
    )


def _change_in(message: str) -> tuple[Any, Any, str, dict[str, Any]]:
    """Return before, after and reason of an entry that has them, and the code of the reason."""
    change = _document(message)
    sides = change.get("before"), change.get("after")
    if not all(isinstance(side, dict) for side in sides):
        return None, None, "", {}
    parts = change.get("reason_parts")
    return *sides, str(change.get("reason") or ""), {"reason_parts": parts} if parts else {}


def _document(message: Any) -> dict[str, Any]:
    try:
        found = json.loads(message) if isinstance(message, str) and message.startswith("{") else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def message_of_entry(parameters: Mapping[str, Any]) -> str | None:
    """Return an entry's message in the reader's language; empty if the event says it already; None: not an entry."""
    if "entry" not in parameters:
        return None
    message = str(parameters.get("message", ""))
    document = _document(message)
    if isinstance(document.get("before"), dict):
        return ""
    if isinstance(document.get("text"), str):
        return str(from_json(document, "text"))
    try:
        return str(
            LogEntry(action_flag=parameters.get("flag", 0), change_message=message).get_change_message()
        )
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):  # not written by Django
        return message


def _label(entry: LogEntry) -> str:
    kind = entry.content_type
    if kind is None:
        return NO_OBJECT
    try:
        return str(apps.get_model(kind.app_label, kind.model)._meta.label)
    except LookupError:  # its app was removed
        return f"{kind.app_label}.{kind.model}"


def without_entries(to_delete: Iterable[Any]) -> list[Any]:
    """Return the page's list of rows to delete, without the entries of the log, which are kept as events."""
    start = f"{LogEntry._meta.verbose_name}: ".casefold()
    return [
        without_entries(item) if isinstance(item, list) else item
        for item in to_delete
        if not str(cast(Any, item)).casefold().startswith(start)
    ]
