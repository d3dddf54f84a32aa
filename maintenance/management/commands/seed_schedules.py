"""`manage.py seed_schedules`: create the schedules that are missing."""

from typing import Any

from audit.commands import RecordedCommand
from maintenance.scheduling import schedules, seeding


class Command(RecordedCommand):
    """Create missing schedules and retentions; operators' edits are never touched."""

    help = "Create missing schedules with their defaults; existing ones are left as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed; say what was created, and which defaults a deploy has changed."""
        created = seeding.seed()
        self.stdout.write(f"created: {', '.join(created)}" if created else "nothing was missing")
        for line in schedules.drift_report():
            self.stdout.write(self.style.WARNING(line))
