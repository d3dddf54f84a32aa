"""`manage.py loaddata`: Django's, which also writes down which fixtures were loaded."""

from django.core.management.commands import loaddata

from audit.commands import RecordedCommand


class Command(RecordedCommand, loaddata.Command):
    """See Django's."""
