"""``manage.py demo_history``: two weeks of made-up data, for screenshots and trials."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from audit.commands import RecordedCommand
from console import demo_history


class Command(RecordedCommand):
    """Fill an empty database with a fortnight of made-up runs, bots and content."""

    help = "Fill an empty database with a fortnight of made-up runs, bots and content."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options for the seed and the owner."""
        parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same life")
        parser.add_argument("--user", default="", help="whose the bots are (default: the first superuser)")

    def handle(self, *, seed: int, user: str, **_options: Any) -> None:
        """Create the data, or say why that is refused."""
        people = User.objects.filter(username=user) if user else User.objects.filter(is_superuser=True)
        owner = people.order_by("pk").first()
        if owner is None and user:
            raise CommandError(f"There is no account {user!r}.", returncode=2)
        if owner is None:
            raise CommandError("There is nobody to own the bots: make a superuser first (createsuperuser).")
        try:
            runs = demo_history.make(owner=owner, seed=seed)
        except demo_history.HoldsRealRuns as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{runs} runs of a fortnight were made up.")
