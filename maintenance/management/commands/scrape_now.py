"""`manage.py scrape_now BOT`: scrape one bot, here and now."""

from argparse import ArgumentParser
from typing import Any

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """Run the job scrape_now here, for one bot."""

    job = "scrape_now"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the bot."""
        parser.add_argument("config", metavar="BOT", help="the bot's id or name")
        super().add_arguments(parser)

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the bot."""
        return {"config": options["config"]}
