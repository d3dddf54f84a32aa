"""`manage.py clearsessions`: Django's command, which also records that it ran."""

from django.contrib.sessions.management.commands import clearsessions

from audit.commands import RecordedCommand


class Command(RecordedCommand, clearsessions.Command):
    """See Django's command."""
