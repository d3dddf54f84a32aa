"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """See the package's modules."""

    name = "accounts"
    verbose_name = _("Access")
