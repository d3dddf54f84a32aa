"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ScrapingConfig(AppConfig):
    """See the package's modules."""

    name = "scraping"
    verbose_name = _("Scraping")
