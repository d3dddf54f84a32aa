"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """The app of accounts and sign-in."""

    name = "accounts"
    verbose_name = _("Access")
