"""Sends a test over a route, and returns what the receiver's server really said."""

from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext_noop

import audit.words
from alerts.channels import mail
from alerts.channels.answers import Answer
from alerts.channels.texts import TEST, Notice
from alerts.models import Delivery, Route
from alerts.reading import reading_of
from alerts.recipients import address_name
from alerts.sending import send
from audit.events import record
from database import clock
from database.messages import gettext as _

PERMISSION = "alerts.change_route"
TESTED = "route.tested"
audit.words.register({TESTED: gettext_noop("sent a test")})


def send_test(route: Route, *, by: User | AnonymousUser) -> list[tuple[str, Answer]]:
    """Send a test now, without a delivery and without another attempt; return each recipient with the answer.

    A test of a group or of owners goes to the person who asks for it, and not to everybody.

    Raises:
        PermissionDenied: the person may not change routes.
    """
    if not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change routes."))
    answers = []
    for channel, recipient, person in _recipients(route, by):
        notice = Notice(uuid4(), TEST, (), clock.database_now(), reading_of(person, route))
        is_unset = channel == Delivery.Channel.MAIL and not mail.is_set()
        answer = (
            Answer(_("EMAIL_URL names no mail server."))
            if is_unset
            else send(channel, recipient, route, notice)
        )
        answers.append((recipient, answer))
    told = {"answers": [f"{recipient}: {answer.text}" for recipient, answer in answers]}
    record(TESTED, route, by=by, parameters=told)
    return answers


def _recipients(route: Route, by: User | AnonymousUser) -> list[tuple[str, str, int | None]]:
    """Return channel and address, and the key of the person who reads there."""
    person: int | None = None
    match route.to:
        case Route.To.WEBHOOK | Route.To.CHAT:
            return [(Delivery.Channel(route.to), address_name(route), None)]
        case Route.To.ADDRESSES:
            addresses = list(settings.ALERT_EMAILS)
        case Route.To.PERSON:
            addresses, person = [route.person.email] if route.person else [], route.person_id
        case _:
            addresses, person = [by.email] if isinstance(by, User) else [], by.pk
    return [(Delivery.Channel.MAIL, address, person) for address in addresses if address]
