"""`manage.py which_run ITEM`: which run deleted or blanked a post or comment."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from maintenance.explanations import explain_item
from maintenance.explanations.content import not_an_item
from maintenance.ledger.search import erasures_of
from scraping.item_names import names_in


class Command(BaseCommand):
    """Find the runs that deleted or blanked one item."""

    help = "Say which run deleted or blanked a post or comment."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the item."""
        parser.add_argument("item", metavar="ITEM", help="a fullname (t3_…, t1_…) or a link to Reddit")
        parser.add_argument("--json", action="store_true", help="print a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each time, the newest first; or, if there is none, whether the item is stored."""
        if not names_in(options["item"]):
            raise CommandError(not_an_item(options["item"]), returncode=2)
        found = erasures_of(options["item"])
        if options["json"]:
            self.stdout.write(json.dumps([erasure.as_json() for erasure in found]))
            return
        for erasure in found:
            run = f"run {erasure.run_id}" if erasure.run_id else "no run"
            self.stdout.write(
                f"{erasure.fullname}  {erasure.at:%Y-%m-%d %H:%M:%S} UTC  {run}  {erasure.rule_in_words}"
            )
        if not found:
            for cause in explain_item(options["item"]):
                self.stdout.write(str(cause))
