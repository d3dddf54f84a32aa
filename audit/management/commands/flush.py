"""`manage.py flush`: Django's, which also writes down that it was tried: it fails on a database that has events."""

from django.core.management.commands import flush

from audit.commands import RecordedCommand


class Command(RecordedCommand, flush.Command):
    """See Django's."""
