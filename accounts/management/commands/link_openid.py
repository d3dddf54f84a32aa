"""Let a person of the OpenID provider sign in to an account; for superusers, whom no mail address finds."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from accounts.openid import people, provider
from audit.commands import RecordedCommand


class Command(RecordedCommand):
    """Parse, call, print."""

    help = "Let a person of the OpenID provider sign in to an account, or no longer."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("username")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--subject", help="the person's id at the provider (the claim sub)")
        which.add_argument(
            "--remove", action="store_true", help="remove the link, and end the person's access"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Link or unlink the account."""
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no account {options['username']!r}.", returncode=2)
        if options["remove"]:
            number = people.unlink(user)
            self.stdout.write(
                "The account is not linked any more." if number else "The account was not linked."
            )
            return
        if not settings.OIDC_ISSUER:
            raise CommandError("OIDC_ISSUER is not set.")
        try:
            people.link(user, issuer=provider.configuration().issuer, subject=options["subject"])
        except ValueError as error:
            raise CommandError(str(error)) from None
        except provider.Refused:
            raise CommandError("The provider's configuration cannot be read: see OIDC_ISSUER.") from None
        self.stdout.write("The account is linked.")
