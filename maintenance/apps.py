"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MaintenanceConfig(AppConfig):
    """See the package's modules."""

    name = "maintenance"
    verbose_name = _("Operations")
