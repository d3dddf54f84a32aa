"""`manage.py account_unsetmultipleprimaryemails`: allauth's command, which also records that it ran."""

from allauth.account.management.commands import account_unsetmultipleprimaryemails

from audit.commands import RecordedCommand


class Command(RecordedCommand, account_unsetmultipleprimaryemails.Command):  # type: ignore[misc]  # untyped
    """See allauth's command."""
