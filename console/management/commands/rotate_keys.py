"""Encrypt every stored secret with the first of FIELD_ENCRYPTION_KEY."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.commands import RecordedCommand
from database import keys


class Command(RecordedCommand):
    """Parse, call, print."""

    help = "Encrypt every stored secret with the first key of FIELD_ENCRYPTION_KEY, so that the others can be removed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("--dry-run", action="store_true", help="change nothing; say what would be done")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate the keys; exit with 1 if a secret cannot be read."""
        done = keys.rotate(dry_run=options["dry_run"])
        if options["json"]:
            self.stdout.write(json.dumps(asdict(done)))
        else:
            verb = "would be encrypted" if options["dry_run"] else "encrypted"
            self.stdout.write(f"{done.rotated} {verb} with the first key, {done.current} were already.")
        if done.unreadable:
            raise CommandError(
                f"No key of FIELD_ENCRYPTION_KEY reads: {'; '.join(done.unreadable)}. Put the old key back behind the"
                " others and run this again, or enter those secrets again."
            )
