"""Text that is encrypted at rest, and text that must hold no secret."""

import base64
import hashlib
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from database.opened_secrets import remember
from database.redaction import redacted


class SecretUnreadable(ImproperlyConfigured):
    """None of the keys decrypts a stored secret; the message names its column and the remedy."""


@cache
def _fernet(key: str) -> Fernet:
    # Any text can be a key: its SHA-256 gives the 32 bytes that Fernet needs. Keys must be long and random.
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))


def encrypt(text: str) -> str:
    """Return the text encrypted with the first key, for secrets that are stored inside other values."""
    return _fernet(settings.FIELD_ENCRYPTION_KEY[0]).encrypt(text.encode()).decode()


class Sealed:
    """A stored secret as it was read: still encrypted, so that reading a row needs no key."""

    def __init__(self, token: str, column: str) -> None:
        self.token = token
        self._column = column

    def __repr__(self) -> str:
        return f"<sealed {self._column}>"

    def open(self) -> str:
        """Return the plain text.

        Raises:
            SecretUnreadable: none of the keys decrypts it.
        """
        keys = [_fernet(key) for key in settings.FIELD_ENCRYPTION_KEY]
        try:
            text = MultiFernet(keys).decrypt(self.token.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable(
                f"{self._column} was encrypted with a key that is not in FIELD_ENCRYPTION_KEY: put that key back"
                " behind the new one, or enter the secret again."
            ) from None
        remember(text)
        return text

    @property
    def is_readable(self) -> bool:
        """Whether one of the keys decrypts it."""
        try:
            self.open()
        except SecretUnreadable:
            return False
        return True

    @property
    def is_current(self) -> bool:
        """Whether the first key decrypts it, so that it does not need the others."""
        try:
            _fernet(settings.FIELD_ENCRYPTION_KEY[0]).decrypt(self.token.encode())
        except InvalidToken:
            return False
        return True


class SecretAttribute(DeferredAttribute):
    """Decrypts only when the attribute is read."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        """Return the plain text."""
        value = super().__get__(instance, cls)
        return value.open() if isinstance(value, Sealed) else value

    def __set__(self, instance: Any, value: Any) -> None:
        """Store a plain text, or a sealed secret that was read from the database."""
        instance.__dict__[self.field.attname] = value


class EncryptedTextField(models.TextField):
    """A text column that holds a Fernet token; Python sees the plain text, decrypted when it is used.

    The first key of ``settings.FIELD_ENCRYPTION_KEY`` encrypts, and all of them decrypt. A row whose secret no key
    decrypts can be read, shown, and saved without losing the secret; only using it raises SecretUnreadable. Saving a
    row encrypts with the first key; ``rotate_keys`` does so for all rows. It cannot be searched: all tokens differ.
    """

    descriptor_class = SecretAttribute

    def get_prep_value(self, value: Any) -> Any:
        """Return the token to store; a token that cannot be read stays unchanged."""
        if isinstance(value, Sealed):
            if not value.is_readable:
                return value.token
            value = value.open()
        value = super().get_prep_value(value)
        if value in (None, ""):
            return value
        remember(value)
        return encrypt(value)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """Return the stored secret, sealed."""
        if value in (None, ""):
            return value
        return Sealed(value, f"{self.model.__name__}.{self.name}" if hasattr(self, "model") else "A secret")

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return the value without decrypting it."""
        kept = model_instance.__dict__
        return kept[self.attname] if self.attname in kept else super().pre_save(model_instance, add)


class _RedactedAttribute(DeferredAttribute):
    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = redacted(value) if isinstance(value, str) else value


class RedactedTextField(models.TextField):
    """A plain text without secrets, such as a traceback. Migrations see a plain column."""

    descriptor_class = _RedactedAttribute

    def deconstruct(self) -> Any:
        """Describe a plain column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        """Return the text without secrets."""
        text = super().get_prep_value(value)
        return redacted(text) if isinstance(text, str) else text
