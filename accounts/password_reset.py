"""A forgotten password is set anew with a secret that is mailed; the page and the API call these two functions.

    ask(login=…, address=…, link=…)            the request does the same for known and unknown names
      └─► in a thread: a token for each account of that name or mail address, and a mail with its secret
    confirm(secret=…, password=…, address=…)   the password is set, and everything that lets the person in ends

The secret is valid once, for one hour; the database holds its SHA-256. A second factor stays: who has one needs it at
the next sign-in.
"""

import logging
import unicodedata
from datetime import timedelta
from email.utils import formataddr

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext

from accounts import afterwards, limits
from accounts.ending import end_everything
from accounts.models import PasswordResetToken, hash_secret
from audit import access
from audit.events import acting_from
from database import clock
from database.locks import locked
from database.names import folded

logger = logging.getLogger(__name__)

LIFETIME = timedelta(hours=1)
# Requests of one name or mail address, mails to one account, requests and confirmations of one client address.
OF_A_NAME, TO_AN_ACCOUNT, OF_AN_ADDRESS = "3/h", "3/h", "20/h"
# How many accounts with one mail address get a mail.
ACCOUNTS_MAX = 5


class TooManyResets(Exception):
    """Too many requests of one name or one client address; the next is allowed within an hour."""


class ResetRefused(Exception):
    """The secret is unknown, used or expired, or its account may not sign in; the answer does not say which."""


def ask(*, login: str, address: str | None, link: str) -> None:
    """Mail a secret to the people with this user name or mail address; say nothing about whether there are any.

    The work of the request is the same for every name: two counters and a function that is called in a thread. Only
    active people who may use the console, have a mail address and sign in with a password get a mail. It is written in
    the language that is active now.

    Args:
        login: a user name or a mail address, as it was typed.
        address: the client's address.
        link: the absolute address of the page that takes the secret; ``#`` and the secret are appended, so that no
            server and no log sees it.

    Raises:
        TooManyResets: the limit of the name or of the client address is reached, whether or not the name is known.
    """
    typed = _folded(login)
    by_address = limits.allows("password_reset", f"address {address}", rate=OF_AN_ADDRESS)
    if not (by_address and limits.allows("password_reset", f"name {typed}", rate=OF_A_NAME)):
        access.reset_refused(None, login, cause="limit")
        raise TooManyResets
    language = translation.get_language() or settings.LANGUAGE_CODE
    afterwards.run(mail_secrets, login, address=address, link=link, language=language)


def mail_secrets(login: str, *, address: str | None, link: str, language: str) -> None:
    """Mail a secret to each person that is meant, and write an event; for the arguments see ``ask``."""
    with acting_from(address), translation.override(language):
        people = people_meant(login)
        for person in people:
            if limits.allows("password_reset", f"account {person.pk}", rate=TO_AN_ACCOUNT):
                _mail_secret(person, link)
        if not people:
            access.reset_asked(None, login)


def people_meant(login: str) -> list[User]:
    """Return those who may reset their password and have this user name or mail address."""
    typed = _folded(login)
    usable = User.objects.filter(is_active=True, is_staff=True).exclude(email="")
    found = usable.filter(Q(username=login) | Q(email__folded=folded(login))).order_by("pk")[
        : ACCOUNTS_MAX * 4
    ]
    # A database may take characters for equal that are not: the mail goes only to the very name that was typed.
    return [
        person
        for person in found
        if typed in (_folded(person.username), _folded(person.email)) and person.has_usable_password()
    ][:ACCOUNTS_MAX]


def confirm(*, secret: str, password: str, address: str | None) -> User:
    """Set the password of the person whom the secret belongs to, end everything that lets them in, and return them.

    Args:
        secret: the secret from the mail.
        password: the new password.
        address: the client's address.

    Raises:
        TooManyResets: this client address has tried too often.
        ResetRefused: the secret cannot be used.
        ValidationError: the password is too weak; the secret stays usable.
    """
    if not limits.allows("password_reset_confirm", f"address {address}", rate=OF_AN_ADDRESS):
        access.reset_refused(None, "", cause="limit")
        raise TooManyResets
    now = clock.now()
    token = PasswordResetToken.objects.select_related("user").filter(secret_hash=hash_secret(secret)).first()
    if token is None or token.used_at or token.expires_at < now or not token.user.is_active:
        access.reset_refused(token.user if token else None, "", cause="secret")
        raise ResetRefused
    validate_password(password, token.user)
    with transaction.atomic():
        unused = PasswordResetToken.objects.filter(pk=token.pk, used_at=None, expires_at__gte=now)
        if not unused.update(used_at=now):  # another request has used it since
            raise ResetRefused
        person: User = locked(token.user)
        person.set_password(password)
        person.save(update_fields=["password"])
        end_everything(person)
        access.reset_done(person)
    afterwards.run(_mail_that_it_changed, person, language=translation.get_language() or "en")
    return person


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _mail_secret(person: User, link: str) -> None:
    with transaction.atomic():
        _token, secret = PasswordResetToken.issue(user=person, lifetime=LIFETIME)
        access.reset_asked(person, "")
    _send(
        person,
        gettext("Set a new password for the maintenance console"),
        "account/mail/password_reset.txt",
        {"link": f"{link}#{secret}", "secret": secret, "page": link},
    )


def _mail_that_it_changed(person: User, *, language: str) -> None:
    with translation.override(language):
        subject = gettext("Your password for the maintenance console was changed")
        _send(person, subject, "account/mail/password_changed.txt", {})


def _send(person: User, subject: str, template: str, context: dict[str, str]) -> None:
    body = render_to_string(template, {"person": person, "help_contact": settings.HELP_CONTACT, **context})
    name = "".join(character for character in person.get_full_name() if character.isprintable())
    mail = EmailMessage(subject, body, settings.SERVER_EMAIL, [formataddr((name, person.email))])
    try:
        mail.send()
    except OSError:
        logger.exception("No mail about a password could be sent to account %s.", person.pk)
