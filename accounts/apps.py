"""App configuration: groups after migrations."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """See the package's modules."""

    name = "accounts"
    verbose_name = _("Access")

    def ready(self) -> None:
        """Connect the signal."""
        from accounts.roles import create_groups

        # This app is last in INSTALLED_APPS, so the permissions of all others exist already.
        post_migrate.connect(create_groups, sender=self)
