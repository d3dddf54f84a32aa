"""The admin site: Django's own, with the console's name, menu and dashboard."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _


class ConsoleAdminSite(admin.AdminSite):
    """Django admin as the maintenance console."""

    site_header = _("Maintenance console")
    site_title = _("Maintenance console")
    index_title = _("Dashboard")
