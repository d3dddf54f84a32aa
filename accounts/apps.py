"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from database import keys


class AccountsConfig(AppConfig):
    """The app of accounts and sign-in."""

    name = "accounts"
    verbose_name = _("Access")

    def ready(self) -> None:
        """Register how personal tokens end, and the secrets of second factors for ``rotate_keys``."""
        from accounts import ending, personal_tokens

        ending.OTHERS["personal_tokens"] = personal_tokens.end_of
        keys.register_inside_json("mfa.Authenticator", "data", ("secret", "seed"))
