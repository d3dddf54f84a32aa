"""`manage.py shell`: Django's, which also writes down that it was open, and that what services do in it is a shell's; never its code."""

from django.core.management.commands import shell

from audit.commands import RecordedCommand


class Command(RecordedCommand, shell.Command):
    """See Django's."""
