"""`manage.py flush`: Django's command, which also records the attempt: it fails on a database that has events."""

from django.core.management.commands import flush

from audit.commands import RecordedCommand


class Command(RecordedCommand, flush.Command):
    """See Django's command."""
