"""`manage.py shell`: Django's command, which also records that it was open, but never the code that it ran.

Events that services write inside it name the shell's user.
"""

from django.core.management.commands import shell

from audit.commands import RecordedCommand


class Command(RecordedCommand, shell.Command):
    """See Django's command."""
