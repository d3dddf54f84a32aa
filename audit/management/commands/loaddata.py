"""`manage.py loaddata`: Django's command, which also records which fixtures were loaded."""

from django.core.management.commands import loaddata

from audit.commands import RecordedCommand


class Command(RecordedCommand, loaddata.Command):
    """See Django's command."""
