"""What the console changes in django-allauth's second factors: secrets are encrypted, names are the console's."""

from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from database.fields import Sealed, encrypt


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # django-allauth's types are partial
    """The console's changes to ``allauth.mfa``."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This code is wrong, or was used before."),
    }

    def encrypt(self, text: str) -> str:
        """Return the secret of an authenticator app or the seed of recovery codes, encrypted for the database."""
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return the plain text.

        Raises:
            SecretUnreadable: none of the keys decrypts it.
        """
        return Sealed(encrypted_text, "Authenticator.data").open()

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        """Return the account's name, by which an authenticator app lists its codes."""
        return user.get_username()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Any) -> str:  # noqa: A002  # the library's name
        """Return the name that the form for a new passkey proposes."""
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        if not number:
            return gettext("Passkey")
        return ngettext("Passkey %(number)s", "Passkey %(number)s", number + 1) % {"number": number + 1}
