"""What codes in events mean: words in the reader's language. Whoever writes codes registers their words here."""

from collections.abc import Callable, Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models

# The words for a value, such as "Monday" for "0"; it gets what is stored, and may return it as it is.
Reader = Callable[[Any], Any]
_readers: dict[tuple[str, str], Reader] = {}
# By the label of the subject, the label of another model whose columns its events have too.
_beside: dict[str, str] = {}


def register(label: str, readers: Mapping[str, Reader]) -> None:
    """Register the words for values in events about a model, by the name of the value."""
    _readers.update({(label, name): reader for name, reader in readers.items()})


def register_columns(label: str, *, of: str) -> None:
    """Say that events about a model have columns of another one too."""
    _beside[label] = of


def field_of(label: str, name: str) -> Any:
    """Return the model's field of this name, or that of the model beside it; None: it is no field."""
    for each in (label, _beside.get(label, "")):
        try:
            field: Any = apps.get_model(each)._meta.get_field(name)
        except (LookupError, ValueError, FieldDoesNotExist):
            continue
        return field
    return None


def in_words(label: str, name: str, value: Any) -> Any:
    """Return the words for a value, or for each of a list; a value that has none as it is."""
    if isinstance(value, list):
        return [in_words(label, name, one) for one in value]
    if (reader := _readers.get((label, name))) is not None:
        return reader(value)
    field = field_of(label, name)
    choices = dict(field.flatchoices) if isinstance(field, models.Field) else {}
    return choices.get(value, value) if isinstance(value, str | int) and value != "" else value
