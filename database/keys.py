"""Re-encrypts stored secrets with the first key, and reports those that still need another one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import Error, connections, models, transaction

from database.errors import cause_of, first_line
from database.fields import EncryptedTextField, Sealed, encrypt


@dataclass(frozen=True)
class StoredSecret:
    """One secret of one row."""

    model: type[models.Model]
    column: str
    key: Any
    value: Sealed
    # The name of the value inside a JSON column; empty: the column itself is encrypted.
    inside: str = ""

    def __str__(self) -> str:
        column = f"{self.column}.{self.inside}" if self.inside else self.column
        return f"{self.model._meta.label} {self.key}, {column}"


# Encrypted values inside JSON columns of other packages: (model label, column) to the names of the values.
_inside_json: dict[tuple[str, str], tuple[str, ...]] = {}


def register_inside_json(label: str, column: str, names: tuple[str, ...]) -> None:
    """Register encrypted values inside a JSON column, so that they are rotated and checked too."""
    _inside_json[label, column] = names


@dataclass
class Rotation:
    """How many secrets were re-encrypted, current or unreadable."""

    rotated: int = 0
    current: int = 0
    unreadable: tuple[str, ...] = ()


def encrypted_columns() -> Iterator[tuple[type[models.Model], str]]:
    """Return every encrypted column of every model that is installed."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedTextField) and not model._meta.proxy:
                yield model, field.attname


def stored_secrets(using: str = "default") -> Iterator[StoredSecret]:
    """Return every stored secret, still sealed."""
    for model, column in encrypted_columns():
        rows = model._base_manager.using(using).order_by("pk").values_list("pk", column)
        # Not iterator(): if the table is missing, the driver's error from closing the server-side cursor would hide
        # Django's error.
        for key, value in rows:
            if isinstance(value, Sealed):
                yield StoredSecret(model, column, key, value)
    for (label, column), names in _inside_json.items():
        model = apps.get_model(label)
        for key, values in model._base_manager.using(using).order_by("pk").values_list("pk", column):
            for name in names:
                if values.get(name):
                    yield StoredSecret(model, column, key, Sealed(values[name], f"{label}.{name}"), name)


def rotate(*, dry_run: bool = False) -> Rotation:
    """Encrypt every secret with the first key; those that no key decrypts stay unchanged. Idempotent."""
    done = Rotation()
    for secret in list(stored_secrets()):
        if secret.value.is_current:
            done.current += 1
        elif not secret.value.is_readable:
            done.unreadable += (str(secret),)
        else:
            done.rotated += dry_run or _rotate_one(secret)
    return done


def _rotate_one(secret: StoredSecret) -> bool:
    """Encrypt the current value of the secret: somebody may have changed it since it was read."""
    with transaction.atomic():
        rows = secret.model._base_manager.select_for_update().filter(pk=secret.key)
        value = rows.values_list(secret.column, flat=True).first()
        if secret.inside:
            return _rotate_inside(secret, value)
        if not isinstance(value, Sealed) or not value.is_readable:
            return False
        secret.model._base_manager.filter(pk=secret.key).update(**{secret.column: value.open()})
    return True


def _rotate_inside(secret: StoredSecret, values: Any) -> bool:
    sealed = Sealed((values or {}).get(secret.inside, ""), str(secret))
    if not sealed.is_readable:
        return False
    values = {**values, secret.inside: encrypt(sealed.open())}
    secret.model._base_manager.filter(pk=secret.key).update(**{secret.column: values})
    return True


def check_keys(app_configs: Any = None, databases: Any = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Name the stored secrets that the first key cannot read: `manage.py check --database default`."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        try:
            found += _unmoved(alias)
        except Error as error:
            connections[alias].close_if_unusable_or_obsolete()
            # Without a cause: before the first migration there are no tables.
            if cause_of(error) is not None:
                text = f"Stored secrets could not be checked. {first_line(error)}"
                hint = "See that the database runs and that DATABASE_URL names it, then check again."
                found.append(checks.Warning(text, hint=hint, id="database.W003"))
    return found


def _unmoved(using: str) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    for secret in stored_secrets(using):
        if secret.value.is_current:
            continue
        if secret.value.is_readable:
            hint = "Run manage.py rotate_keys, then remove the old key."
            found.append(
                checks.Warning(
                    f"{secret} is not encrypted with the first key.", hint=hint, id="database.W001"
                )
            )
        else:
            hint = "Put its key back behind the others in FIELD_ENCRYPTION_KEY, or enter the secret again."
            found.append(checks.Warning(f"{secret} fits none of the keys.", hint=hint, id="database.W002"))
    return found
