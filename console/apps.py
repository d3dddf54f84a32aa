"""App configurations of the project and of its admin site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.core import checks
from django.utils.translation import gettext_lazy as _

from database import keys


class ConsoleConfig(AppConfig):
    """The project itself: commands, templates, dashboard."""

    name = "console"
    verbose_name = _("Console")
    default = True

    def ready(self) -> None:
        """Check the keys of stored secrets."""
        checks.register(keys.check_keys, checks.Tags.database)


class ConsoleAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site in place of the stock one."""

    default = False  # inherited as True; INSTALLED_APPS names this class in full
    default_site = "console.admin.ConsoleAdminSite"
