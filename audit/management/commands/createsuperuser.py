"""`manage.py createsuperuser`: Django's, which also writes down who may do everything."""

from django.contrib.auth.management.commands import createsuperuser

from audit.commands import RecordedCommand


class Command(RecordedCommand, createsuperuser.Command):
    """See Django's."""
