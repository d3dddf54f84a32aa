"""Sentences that are stored, and shown later to another reader, perhaps in another language.

``gettext`` and ``ngettext`` here work like Django's, but their result keeps its parts: a code, which is the English
sentence with its placeholders, and the parameters. A ``MessageField`` stores the English text, and its parts in the
column ``<name>_parts``; when it is read, it is the sentence in the reader's language. A plain string stays unchanged,
and so do texts that were stored before parts existed.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models.query_utils import DeferredAttribute
from django.template.defaultfilters import filesizeformat
from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import trans_real

from database.grouping import with_grouped_counts
from database.redaction import redacted

Row = TypeVar("Row", bound=models.Model)

# {"code": msgid, "params": {name: value or parts}, "plural": msgid, "number": int, "context": str, "capfirst": true}
# or {"sentences": [text or parts, ...], "by": separator} or {"bytes": int} or {"kind": registered name, ...}
Parts = dict[str, Any]
# How a text of other packages' data, such as the name of a holiday, is put into words; English: whether it must be.
Teller = Callable[[Parts, bool], str]
_tellers: dict[str, Teller] = {}
# The suffix of the key that holds a text's parts in a JSON document.
SUFFIX = "_parts"


class Message(str):
    """A sentence in the language that was active when it was created, with its parts."""

    parts: Parts

    def __new__(cls, parts: Parts) -> Self:
        """Create the sentence in the active language."""
        made = super().__new__(cls, _render(parts, _READER))
        made.parts = parts
        return made

    def __str__(self) -> str:
        """Return itself, so that ``str(error)`` keeps the parts."""
        return self

    def __mod__(self, params: Any) -> "Message":
        """Fill in the placeholders; if they have no names, the result is a plain text."""
        if not isinstance(params, Mapping):
            return joined([super().__mod__(params)])
        return Message({**self.parts, "params": {name: _param(value) for name, value in params.items()}})

    def __add__(self, text: str) -> "Message":
        """Return both, one after the other."""
        return joined([self, text], by="")

    def __radd__(self, text: str) -> "Message":
        """Return both, one after the other."""
        return joined([text, self], by="")

    def __reduce__(self) -> tuple[Any, ...]:
        return Message, (self.parts,)

    @property
    def english(self) -> str:
        """The sentence in English."""
        return _render(self.parts, _ENGLISH)

    def capitalized(self) -> "Message":
        """Return the sentence with a capital first letter."""
        return Message({**self.parts, "capfirst": True})


# --- Making ------------------------------------------------------------------------------------


def gettext(code: str) -> Message:
    """Return the sentence; fill it in by ``%``."""
    return Message({"code": code})


def ngettext(singular: str, plural: str, number: int) -> Message:
    """Return the sentence for this number; fill it in by ``%``."""
    return Message({"code": singular, "plural": plural, "number": number})


def joined(texts: Iterable[str], *, by: str = " ") -> Message:
    """Return the sentences joined to one message."""
    return Message({"sentences": [_param(text) for text in texts], "by": by})


def file_size(number: int) -> Message:
    """Return a number of bytes in words."""
    return Message({"bytes": number})


def register_kind(kind: str, teller: Teller) -> None:
    """Let texts with the parts ``{"kind": kind, ...}`` be put into words by this function."""
    _tellers[kind] = teller


def message_of(text: Any) -> str:
    """Return a lazy translation as a message; a plain text as it is."""
    parts = parts_of(text)
    return Message(parts) if parts is not None else str(text)


def parts_of(text: Any) -> Parts | None:
    """Return the parts of a text; None: it is plain."""
    if isinstance(text, Message):
        return text.parts
    return _of_lazy(text) if isinstance(text, Promise) else None


def english_of(text: Any) -> Any:
    """Return the English text, which is stored beside the parts."""
    parts = parts_of(text)
    if parts is not None:
        return _render(parts, _ENGLISH)
    if isinstance(text, Promise):
        with translation.override("en"):
            return str(text)
    return text


def _of_lazy(proxy: Any) -> Parts | None:
    """Return the parts of a lazy translation, from its pickle form; None: it was created in another way."""
    _, (function, args, named, *_) = proxy.__reduce__()
    match function.__name__, args, named:
        case "gettext", (code,), _:
            return {"code": str(code)}
        case "pgettext", (context, code), _:
            return {"code": str(code), "context": str(context)}
        case "ngettext", _, {"singular": singular, "plural": plural, "number": int(number)}:
            return {"code": singular, "plural": plural, "number": number}
    return None


def _param(value: Any) -> Any:
    parts = parts_of(value)
    if parts is not None:
        return parts
    if value is None or type(value) in (int, float, bool):
        return value
    text = str(english_of(value))  # the name of a row may be a message too
    return text.parts if isinstance(text, Message) else text


# --- Putting into words --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Language:
    gettext: Callable[[str], str]
    pgettext: Callable[[str, str], str]
    ngettext: Callable[[str, str, int], str]
    is_english: bool
    # Whether counts, which are those filled in by %d, are grouped: 9,332.
    groups: bool = True


_READER = _Language(translation.gettext, translation.pgettext, translation.ngettext, is_english=False)
# The codes are the English texts.
_ENGLISH = _Language(
    lambda code: code,
    lambda _context, code: code,
    lambda singular, plural, number: singular if number == 1 else plural,
    is_english=True,
)
# How texts were stored before counts were grouped.
_UNGROUPED = replace(_ENGLISH, groups=False)


def told(text: str, parts: Any) -> str:
    """Return a stored text in the reader's language.

    If the parts belong to another text, the stored text is returned: a process of the previous release has changed it.
    """
    with contextlib.suppress(TypeError, KeyError, ValueError, AttributeError):
        if isinstance(parts, dict) and text in (_render(parts, _ENGLISH), _render(parts, _UNGROUPED)):
            return Message(parts)
    return text


def _render(parts: Any, language: _Language) -> str:
    if not isinstance(parts, dict):
        return str(parts)
    if "sentences" in parts:
        text = parts.get("by", " ").join(_render(part, language) for part in parts["sentences"])
    elif "bytes" in parts:
        text = _size(parts["bytes"], language)
    elif "kind" in parts:
        text = _tellers[parts["kind"]](parts, language.is_english)
    else:
        text = _template(parts, language)
        if "params" in parts:
            values = {name: _value(value, language) for name, value in parts["params"].items()}
            text = (with_grouped_counts(text, values) if language.groups else text) % values
    return str(capfirst(text)) if parts.get("capfirst") else text


def _template(parts: Mapping[str, Any], language: _Language) -> str:
    code = parts["code"]
    if "plural" in parts:
        return language.ngettext(code, parts["plural"], parts["number"])
    if "context" in parts:
        return language.pgettext(parts["context"], code)
    return language.gettext(code) if code else ""


def _size(number: int, language: _Language) -> str:
    with translation.override("en") if language.is_english else contextlib.nullcontext():
        return str(filesizeformat(number))


def _value(value: Any, language: _Language) -> Any:
    return _render(value, language) if isinstance(value, dict) else value


# --- Storing -------------------------------------------------------------------------------------


def without_secrets(text: Any) -> Any:
    """Return the text without secrets; a message stays one, unless only its whole sentence shows the secret."""
    if not isinstance(text, str) or not text:
        return text
    parts = parts_of(text)
    if parts is None:
        return redacted(text)
    message = Message(_redacted_parts(parts))
    english = redacted(message.english)
    return message if english == message.english else english


def _redacted_parts(parts: Any) -> Any:
    """Return the parts with redacted parameters; the sentences themselves are of the console's own code."""
    if isinstance(parts, str):
        return redacted(parts)
    if not isinstance(parts, dict):
        return parts
    params = {name: _redacted_parts(value) for name, value in parts.get("params", {}).items()}
    sentences = [_redacted_parts(part) for part in parts.get("sentences", ())]
    return {
        **parts,
        **({"params": params} if params else {}),
        **({"sentences": sentences} if sentences else {}),
    }


class _InWords(DeferredAttribute):
    """The attribute of a ``MessageField`` on an instance: the text in the reader's language."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is None:
            return value
        if isinstance(value, Message):
            return Message(value.parts)
        if not value or not isinstance(value, str):
            return value
        return told(value, getattr(instance, self.field.attname + SUFFIX))

    def __set__(self, instance: Any, value: Any) -> None:
        """Take a text from the code or from the database: neither is shown with a secret."""
        text = message_of(value) if isinstance(value, Promise) else value
        instance.__dict__[self.field.attname] = without_secrets(text)


class _Told(models.Field):
    """Stores the English text; the model declares ``PartsField(of=<name>)`` as ``<name>_parts``."""

    descriptor_class = _InWords

    def get_prep_value(self, value: Any) -> Any:
        """Return the English text, without secrets."""
        return super().get_prep_value(english_of(without_secrets(value)))


class MessageField(_Told, models.TextField):
    """A text in the reader's language. Migrations see a plain column."""

    def deconstruct(self) -> Any:
        """Describe a plain column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs


class ShortMessageField(_Told, models.CharField):
    """A short text in the reader's language, cut at its length. Migrations see a plain column."""

    def deconstruct(self) -> Any:
        """Describe a plain column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        """Return the English text, cut."""
        text = super().get_prep_value(value)
        return text[: self.max_length] if isinstance(text, str) else text


class PartsField(models.JSONField):
    """The parts of a text field; null: the text is plain, as all older ones are. Migrations see a plain JSON column."""

    def __init__(self, *args: Any, of: str = "", **kwargs: Any) -> None:
        self.of = of
        super().__init__(*args, **{**kwargs, "null": True, "blank": True, "editable": False})

    def deconstruct(self) -> Any:
        """Describe a plain column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def clone(self) -> Self:
        """Return a copy, which belongs to the same text field."""
        copy = super().clone()
        copy.of = self.of
        return copy

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return the parts of the current text."""
        return parts_of(getattr(model_instance, self.of))


class MessagesQuerySet(models.QuerySet[Row]):
    """A queryset whose ``update`` also writes the parts of each text."""

    def update(self, **values: Any) -> int:
        """Update the rows; the parts of each text are updated too."""
        return super().update(**values, **self.parts_by_field(values))

    def parts_by_field(self, values: Mapping[str, Any]) -> dict[str, Parts | None]:
        """Return the parts of those values that are texts, by the name of their column."""
        fields = {field.name: field for field in self.model._meta.concrete_fields}
        return {
            name + SUFFIX: parts_of(without_secrets(value))
            for name, value in values.items()
            if isinstance(fields.get(name), _Told)
        }


# --- In JSON -------------------------------------------------------------------------------------


def as_json(value: Any) -> Any:
    """Return a JSON document with each text in English, without secrets, and its parts beside it, to be translated later."""
    if isinstance(value, dict):
        document = {}
        for name, item in value.items():
            document[name] = as_json(item)
            if (parts := _parts_in(item)) is not None:
                document[name + SUFFIX] = parts
        return document
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return str.__str__(english_of(without_secrets(value))) if isinstance(value, str | Promise) else value


def _parts_in(item: Any) -> Any:
    """Return the parts of a text or of a list of texts; None: there are none."""
    if isinstance(item, list | tuple):
        each = [parts_of(without_secrets(text)) for text in item]
        return each if any(each) else None
    return parts_of(without_secrets(item))


def from_json(document: Mapping[str, Any], name: str) -> Any:
    """Return a text or a list of texts of such a document, in the reader's language."""
    value, parts = document.get(name), document.get(name + SUFFIX)
    if isinstance(value, str):
        return told(value, parts)
    if isinstance(value, list) and isinstance(parts, list) and len(parts) == len(value):
        return [
            told(text, each) if isinstance(text, str) else text
            for text, each in zip(value, parts, strict=True)
        ]
    return value


# --- Finding -------------------------------------------------------------------------------------


def codes_that_read(words: str) -> list[str]:
    """Return the codes whose sentences contain these words in the reader's language, ignoring case."""
    wanted = words.casefold()
    found = set()
    catalog: Any = trans_real.catalog()  # Django's own JavaScriptCatalog reads it in the same way
    for key, text in catalog._catalog.items():
        code = key[0] if isinstance(key, tuple) else key
        if code and isinstance(code, str) and wanted in str(text).casefold():
            found.add(code.partition("\x04")[2] or code)
    return sorted(found)
