"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ScrapingConfig(AppConfig):
    """See the package's modules."""

    name = "scraping"
    verbose_name = _("Scraping")

    def ready(self) -> None:
        """Say whose rows are whose."""
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
