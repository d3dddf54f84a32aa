"""Text that is encrypted at rest."""

import base64
import hashlib
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@cache
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    # Any text may serve as a key: Fernet's 32 bytes are its SHA-256. Keys must be long and random.
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )


class EncryptedTextField(models.TextField):
    """A text column that holds a Fernet token; Python sees the plain text.

    The first of ``settings.FIELD_ENCRYPTION_KEY`` encrypts and all of them decrypt, so a key is changed by
    putting a new one in front and saving the rows again. It cannot be searched: each token is different.

    Raises:
        ImproperlyConfigured: a stored value fits none of the keys.
    """

    def get_prep_value(self, value: Any) -> Any:
        """Return the token to store."""
        value = super().get_prep_value(value)
        if value in (None, ""):
            return value
        return _cipher(tuple(settings.FIELD_ENCRYPTION_KEY)).encrypt(value.encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        """Return the plain text of a stored token."""
        if value in (None, ""):
            return value
        try:
            return _cipher(tuple(settings.FIELD_ENCRYPTION_KEY)).decrypt(value.encode()).decode()
        except InvalidToken:
            raise ImproperlyConfigured(
                f"{self.model.__name__}.{self.name} was encrypted with a key that is not in"
                " FIELD_ENCRYPTION_KEY: put that key back behind the new one."
            ) from None
