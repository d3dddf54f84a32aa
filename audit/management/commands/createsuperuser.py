"""`manage.py createsuperuser`: Django's command, which also records who became a superuser."""

from django.contrib.auth.management.commands import createsuperuser

from audit.commands import RecordedCommand


class Command(RecordedCommand, createsuperuser.Command):
    """See Django's command."""
