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
        """Register the checks of stored secrets' keys and of traces; create the groups after migrations."""
        from console.roles import create_groups, create_routes
        from console.tracing.switch import check_packages

        checks.register(keys.check_keys, checks.Tags.database)
        checks.register(check_packages)
        # After the last app: the groups need the permissions of all apps.
        last = [*apps.get_app_configs()][-1]
        post_migrate.connect(create_groups, sender=last)
        post_migrate.connect(create_routes, sender=last)


class ConsoleAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site instead of the default one."""

    default = False  # inherited as True; INSTALLED_APPS names this class in full
    default_site = "console.admin.ConsoleAdminSite"
