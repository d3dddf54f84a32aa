"""The old and new field values of a row that an event keeps, without secrets."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from database.fields import EncryptedTextField, Sealed
from database.messages import english_of

# Stored in place of a secret.
CHANGED = "changed"
SECRET_WORDS = ("password", "secret", "token")
TEXT_MAX = 2_000


def is_secret(model: type[models.Model], name: str) -> bool:
    """Whether the field is secret from people who read events."""
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        field = None
    return isinstance(field, EncryptedTextField) or any(word in name for word in SECRET_WORDS)


def snapshot(row: models.Model) -> dict[str, Any]:
    """Return the editable fields of a row, ready for JSON; a secret as a digest, for comparison only, never stored."""
    kept: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        if field.primary_key or not field.editable:
            continue
        if is_secret(type(row), field.name):
            kept[field.name] = _digest(row.__dict__.get(field.attname))
        elif field.is_relation:
            kept[field.name] = _name_of(row, field.name)
        else:
            kept[field.name] = _plain(field.value_from_object(row))
    for many in row._meta.many_to_many:
        kept[many.name] = sorted(str(english_of(str(one))) for one in getattr(row, many.name).all())
    return kept


def stored(row: models.Model) -> dict[str, Any]:
    """Return the snapshot of the row as it is in the database; empty if it does not exist."""
    found = type(row)._base_manager.filter(pk=row.pk).first()
    return snapshot(found) if found is not None else {}


def difference(
    model: type[models.Model], before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that differ, with old and new values; for a secret only that it has changed."""
    names = [name for name in after if before.get(name) != after[name]]
    return (
        {name: before.get(name) for name in names if not is_secret(model, name)},
        {name: CHANGED if is_secret(model, name) else after[name] for name in names},
    )


def without_secrets(model: type[models.Model], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the snapshot of an added or deleted row without secrets; empty fields are left out."""
    return {
        name: value
        for name, value in kept.items()
        if value not in (None, "", []) and not is_secret(model, name)
    }


def _name_of(row: models.Model, name: str) -> str | None:
    try:
        other = getattr(row, name)
    except ObjectDoesNotExist:
        return None
    return None if other is None else str(english_of(str(other)))


def _digest(value: Any) -> str | None:
    text = value.token if isinstance(value, Sealed) and not value.is_readable else value
    text = text.open() if isinstance(text, Sealed) else text
    return sha256(str(text).encode()).hexdigest() if text else None


def _plain(value: Any) -> Any:
    value = english_of(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)[:TEXT_MAX]
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    try:
        return DjangoJSONEncoder().default(value)
    except TypeError:
        return str(value)[:TEXT_MAX]
