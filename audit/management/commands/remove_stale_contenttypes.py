"""`manage.py remove_stale_contenttypes`: Django's command, which also records that it ran."""

from django.contrib.contenttypes.management.commands import remove_stale_contenttypes

from audit.commands import RecordedCommand


class Command(RecordedCommand, remove_stale_contenttypes.Command):
    """See Django's command."""
