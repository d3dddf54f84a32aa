"""`manage.py changepassword`: Django's, which also writes down whose password is another."""

from django.contrib.auth.management.commands import changepassword

from audit.commands import RecordedCommand


class Command(RecordedCommand, changepassword.Command):
    """See Django's."""
