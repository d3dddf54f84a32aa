"""`manage.py seed_schedules`: create the schedules that are missing."""

from typing import Any

from django.core.management.base import BaseCommand

from maintenance import schedules


class Command(BaseCommand):
    """Create missing schedules and retentions; operators' edits are never touched."""

    help = "Create missing schedules with their defaults; existing ones are left as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, and say what was created."""
        created = schedules.seed()
        self.stdout.write(f"created: {', '.join(created)}" if created else "nothing was missing")
