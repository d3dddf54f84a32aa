"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ScrapingConfig(AppConfig):
    """The app of scraping; see the package's modules."""

    name = "scraping"
    verbose_name = _("Scraping")

    def ready(self) -> None:
        """Register what the lower layers must know about scraping."""
        from audit.visibility import register_owned
        from scraping import models

        for owned in (
            models.BotConfig,
            models.RedditApp,
            models.RedditComment,
            models.RedditPost,
            models.ScrapeSession,
        ):
            register_owned(owned)
