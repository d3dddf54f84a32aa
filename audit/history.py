"""An object's history: what Django's log of the admin says of it, and what it said of people who are gone.

Django deletes a person's entries together with the person. They become events first, which nobody deletes; the history
page shows both as one list.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any, cast

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from audit.models import Event
from database.messages import as_json, from_json, parts_of

# An entry of the log whose person was deleted.
ENTRY = "history.entry"
NO_OBJECT = "–"
WRITTEN_AT_ONCE = 500


def stored_text(text: str) -> str:
    """Return what to keep in an entry for a text that is to be read in the reader's language."""
    return json.dumps(as_json({"text": text}), ensure_ascii=False) if parts_of(text) else text


@dataclass(frozen=True)
class NamedPerson:
    """A deleted person, of whom only the name is kept."""

    name: str

    def get_username(self) -> str:
        """Return the name."""
        return self.name

    def get_full_name(self) -> str:
        """Return nothing: it went with the account."""
        return ""


@dataclass
class HistoryEntry:
    """An entry as the templates of history pages read it."""

    action_time: datetime
    user: Any
    change_message: str
    # Django's words for what it wrote itself.
    in_words: Callable[[], str]
    # Set by an admin that keeps more than a text.
    change: Any = None

    def get_change_message(self) -> str:
        """Return what was done, in the reader's language."""
        try:
            kept = json.loads(self.change_message) if self.change_message.startswith('{"text"') else {}
        except ValueError:
            kept = {}
        return str(from_json(kept, "text") or self.in_words())


def _of_log(entry: LogEntry) -> HistoryEntry:
    return HistoryEntry(entry.action_time, entry.user, entry.change_message, entry.get_change_message)


def _of_event(event: Event) -> HistoryEntry:
    kept = event.parameters or {}
    entry = LogEntry(action_flag=kept.get("flag", 0), change_message=kept.get("message", ""))
    person = NamedPerson(event.actor_name)
    return HistoryEntry(event.at, person, entry.change_message, entry.get_change_message)


class _Together(Sequence[HistoryEntry]):
    """Entries and events as one list, newest first; only as many are read as are asked for."""

    def __init__(self, entries: QuerySet[LogEntry], events: QuerySet[Event]) -> None:
        self._entries, self._events = entries.order_by("-action_time", "-pk"), events.order_by("-at", "-pk")

    def __len__(self) -> int:
        return self._entries.count() + self._events.count()

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self[index : index + 1][0]
        found = self._merged(index.stop)
        return list(islice(found, index.start or 0, index.stop))

    def _merged(self, stop: int | None) -> Iterator[HistoryEntry]:
        newest_first = attrgetter("action_time")
        both = [map(_of_log, self._entries[:stop]), map(_of_event, self._events[:stop])]
        return merge(*both, key=newest_first, reverse=True)


class KeptHistory(admin.ModelAdmin):
    """Shows the history of an object with the entries of people who are gone, newest first; put before each admin."""

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show it."""
        request.history_of = unquote(object_id)  # type: ignore[attr-defined]  # for the paginator
        return super().history_view(request, object_id, extra_context)

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any
    ) -> "Paginator[Any]":
        """Return the pages of a history where Django asks for these."""
        subject = getattr(request, "history_of", None)
        if subject is None or queryset.model is not LogEntry:
            return super().get_paginator(request, queryset, per_page, *args, **kwargs)
        events = Event.objects.filter(verb=ENTRY, subject_type=self.opts.label, subject_id=subject)
        return Paginator(_Together(queryset, events), per_page)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Keep a text so that it is read in the reader's language."""
        return super().log_change(request, obj, stored_text(message))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Keep a text so that it is read in the reader's language."""
        return super().log_addition(request, obj, stored_text(message))


# --- When a person goes ----------------------------------------------------------------------


@receiver(pre_delete, sender=User, dispatch_uid="audit.keep_entries")
def keep_entries(*, instance: User, using: str, **_kwargs: Any) -> None:
    """Make events of the person's entries, in the transaction that deletes both."""
    entries = LogEntry.objects.using(using).filter(user=instance).select_related("content_type")
    name = instance.get_username()
    events = (_as_event(entry, name) for entry in entries.order_by("pk").iterator(WRITTEN_AT_ONCE))
    while written := list(islice(events, WRITTEN_AT_ONCE)):
        Event.objects.using(using).bulk_create(written)


def _as_event(entry: LogEntry, name: str) -> Event:
    return Event(
        at=entry.action_time,
        actor_kind=Event.ActorKind.PERSON,
        actor_name=name,
        verb=ENTRY,
        subject_type=_label(entry),
        subject_id=(entry.object_id or NO_OBJECT)[:64],
        subject_name=entry.object_repr[:200],
        parameters={"flag": entry.action_flag, "message": entry.change_message, "entry": entry.pk},
    )


def _label(entry: LogEntry) -> str:
    kind = entry.content_type
    if kind is None:
        return NO_OBJECT
    try:
        return str(apps.get_model(kind.app_label, kind.model)._meta.label)
    except LookupError:  # its app was removed
        return f"{kind.app_label}.{kind.model}"


def without_entries(to_delete: Iterable[Any]) -> list[Any]:
    """Return what a page says would be deleted without the entries of the log, which are kept as events."""
    start = f"{LogEntry._meta.verbose_name}: ".casefold()
    return [
        without_entries(item) if isinstance(item, list) else item
        for item in to_delete
        if not str(cast(Any, item)).casefold().startswith(start)
    ]
