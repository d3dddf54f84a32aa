"""App configurations of the project and of its admin site."""

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from database import keys


class ConsoleConfig(AppConfig):
    """The project itself: commands, templates, dashboard."""

    name = "console"
    verbose_name = _("Console")
    default = True

    def ready(self) -> None:
        """Register the check of the keys of stored secrets; create the groups after migrations."""
        from console.roles import create_groups

        checks.register(keys.check_keys, checks.Tags.database)
        # After the last app: the groups need the permissions of all apps.
        post_migrate.connect(create_groups, sender=[*apps.get_app_configs()][-1])


class ConsoleAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site instead of the default one."""

    default = False  # inherited as True; INSTALLED_APPS names this class in full
    default_site = "console.admin.ConsoleAdminSite"
