"""Describes the changes in an event, in the reader's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.text import capfirst
from django.utils.translation import gettext

from adminkit.moments import with_zone
from audit import values
from audit.history import message_of_entry
from audit.models import Event
from audit.snapshots import CHANGED
from database.messages import SUFFIX, from_json

NOTHING = "–"
# How many items of a list or a mapping are shown.
SHOWN_MAX = 20


@dataclass(frozen=True)
class Change:
    """One changed value, before and after."""

    name: str
    before: str | None
    after: str | None


def rows_of(event: Event) -> list[Change]:
    """Return what has changed, then the event's other parameters."""
    before, after = _object(event.before), _object(event.after)
    kept = _object(event.parameters)
    about = event.subject_type
    found = [
        Change(_name(about, name), _side(about, before, name), _side(about, after, name))
        for name in _names(before, after)
        # What stayed as it was is no change; some services write the whole setting.
        if name not in before or name not in after or before[name] != after[name]
    ]
    if (message := message_of_entry(kept)) is not None:
        return [*found, Change("", None, message)] if message else found
    return found + [Change(_name("", name), None, _side(about, kept, name)) for name in _names(kept)]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(*documents: Mapping[str, Any]) -> list[str]:
    """Return the keys of all documents, in their order, without those of the parts of texts."""
    names = dict.fromkeys(name for document in documents for name in document)
    return [name for name in names if not name.endswith(SUFFIX)]


def _model(label: str) -> type[models.Model] | None:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None


def _name(about: str, name: str) -> str:
    # A reverse relation has no words of its own.
    if words := getattr(values.field_of(about, name), "verbose_name", ""):
        return str(capfirst(words))
    words = name.replace("_", " ").strip()
    return str(capfirst(gettext(words))) if words else NOTHING


def _side(about: str, document: Mapping[str, Any], name: str) -> str | None:
    if name not in document:
        return None
    return _text(values.in_words(about, name, from_json(document, name)))


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, int | float):
        return str(number_format(value, force_grouping=True))
    if isinstance(value, list):
        return _cut([_text(one) for one in value])
    if isinstance(value, dict):
        return _cut([f"{_label(name)}: {_text(one)}" for name, one in value.items()])
    return gettext("changed") if value == CHANGED else _moment(str(value))


def _cut(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN_MAX]) + (" …" if len(texts) > SHOWN_MAX else "")


def _label(name: Any) -> str:
    model = _model(str(name))
    return str(model._meta.verbose_name_plural if model is not None else name)


def _moment(text: str) -> str:
    """Return a moment in the console's zone; any other text unchanged."""
    if len(text) < 19 or text[10] not in "T ":
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return with_zone(timezone.localtime(moment)) if moment.tzinfo else text
