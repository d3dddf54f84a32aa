"""`manage.py changepassword`: Django's command, which also records whose password it changed."""

from django.contrib.auth.management.commands import changepassword

from audit.commands import RecordedCommand


class Command(RecordedCommand, changepassword.Command):
    """See Django's command."""
