"""Tells by mail."""

from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from alerts.channels.answers import Answer
from alerts.channels.texts import Notice, in_words
from database.messages import gettext as _

CONSOLE = "django.core.mail.backends.console.EmailBackend"


def is_set() -> bool:
    """Whether EMAIL_URL names a mail server; without one, nothing is written for this channel."""
    return settings.EMAIL_BACKEND != CONSOLE


def send(address: str, notice: Notice) -> Answer:
    """Hand a message to the mail server, and return what became of it.

    Each attempt has the same Message-ID, so that a mailbox can drop doubles.
    """
    if not is_set():  # it was, when the message was written
        return Answer(_("EMAIL_URL names no mail server."))
    subject, body = in_words(notice)
    domain = parseaddr(settings.SERVER_EMAIL)[1].rpartition("@")[2] or "localhost"
    mail = EmailMessage(
        subject,
        body,
        settings.SERVER_EMAIL,
        [address],
        headers={"Message-ID": f"<{notice.id}@{domain}>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=settings.EMAIL_TIMEOUT),
    )
    try:
        mail.send()
    except (OSError, ValueError) as error:  # SMTPException is an OSError; an address may be unusable
        return Answer.of_error(error)
    told = {"host": f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"}
    return Answer(_("The mail server %(host)s has accepted it.") % told, is_delivered=True)
