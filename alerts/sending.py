"""Sends what is due: claims the deliveries of one message, sends it, and stores the answer.

    due ─► claimed, in a transaction of its own ─► sent, outside of any ─► delivered, or the next attempt

A process that dies between sending and storing has sent a message that is sent once more when its claim ends: a
message arrives at least once, each time with the same id.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from alerts.channels import chat, mail, webhook
from alerts.channels.answers import Answer
from alerts.channels.texts import Notice
from alerts.models import Delivery, Route
from alerts.outbox import COLLECT
from alerts.reading import reading_of
from database import clock
from database.messages import gettext as _

logger = logging.getLogger(__name__)

# After a message, others about the same event and cause wait so long for each other.
SAME_CAUSE_EVERY = timedelta(minutes=15)
# Longer than an attempt can take; after it, another process takes the message over.
CLAIM = timedelta(minutes=5)
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=30), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=24)
# So many messages are sent before the caller looks again whether it is the one that sends.
MESSAGES_AT_ONCE = 20


@dataclass(frozen=True)
class Claim:
    """The deliveries of one message that this process sends; nobody else does so until ``until``."""

    message: UUID
    first: Delivery
    until: datetime

    @property
    def deliveries(self) -> QuerySet[Delivery]:
        """The deliveries of the message, as long as this claim lasts."""
        return Delivery.objects.pending().filter(message=self.message, claimed_until=self.until)


def send_due() -> int:
    """Send the messages that are due, at most 20; return how many attempts were made."""
    for number in range(MESSAGES_AT_ONCE):
        claim = claim_next(clock.database_now())
        if claim is None:
            return number
        store(claim, attempt(claim), clock.database_now())
    return MESSAGES_AT_ONCE


def claim_next(now: datetime) -> Claim | None:
    """Claim the message that is due for the longest time; None: nothing is due."""
    while True:
        with transaction.atomic():
            due = Delivery.objects.due(now).order_by("next_attempt_at", "pk")
            first = due.select_for_update(skip_locked=True).first()
            if first is None:
                return None
            until = now + CLAIM
            if first.message is not None:
                message, rows = first.message, Delivery.objects.due(now).filter(message=first.message)
                claimed: dict[str, Any] = {}
            else:
                waiting = Delivery.objects.pending().like(first).filter(message__isnull=True)
                if (later := _held_until(first, now)) is not None:
                    waiting.update(next_attempt_at=later)
                    continue
                message, rows = uuid4(), waiting
                claimed = {"message": message, "retried_until": now + GIVE_UP_AFTER}
                if first.event == Delivery.Event.CLOSED:
                    rows = rows.exclude(Exists(_untold(first).filter(alert=OuterRef("alert"))))
            # A compare-and-set: of two processes that have read the same rows, one updates them.
            if rows.update(claimed_until=until, attempts=F("attempts") + 1, **claimed):
                return Claim(message, Delivery.objects.select_related("route").get(pk=first.pk), until)


def _held_until(first: Delivery, now: datetime) -> datetime | None:
    """Return until when a new message must wait; None: it may be sent."""
    alike = Delivery.objects.like(first).filter(message__isnull=False)
    if alike.pending().exists():
        return now + COLLECT  # the one before it has not arrived
    if first.event == Delivery.Event.CLOSED and _untold(first).filter(alert=first.alert_id).exists():
        return now + COLLECT  # nobody is told of an end before the beginning
    last = alike.filter(delivered_at__gt=now - SAME_CAUSE_EVERY).order_by("-delivered_at").first()
    return last.delivered_at + SAME_CAUSE_EVERY if last and last.delivered_at else None


def _untold(one: Delivery) -> QuerySet[Delivery]:
    begun = Delivery.objects.pending().exclude(event=Delivery.Event.CLOSED)
    return begun.filter(channel=one.channel, recipient=one.recipient)


def attempt(claim: Claim) -> Answer:
    """Send a claimed message, and return what became of it; no error leaves this function but one of the database."""
    rows = claim.deliveries.select_related("alert").order_by("pk")
    try:
        reading = reading_of(claim.first.person_id, claim.first.route)
        alerts = [row.alert for row in rows]
        notice = Notice(claim.message, claim.first.event, alerts, clock.database_now(), reading)
        return send(claim.first.channel, claim.first.recipient, claim.first.route, notice)
    except Exception as error:
        logger.exception("The message %s could not be sent.", claim.message)
        return Answer.of_error(error)


def send(channel: str, recipient: str, route: Route | None, notice: Notice) -> Answer:
    """Send a message to one recipient."""
    if channel == Delivery.Channel.MAIL:
        return mail.send(recipient, notice)
    if route is None or route.to != channel:
        return Answer(_("The route of this address was deleted."))
    return webhook.send(route, notice) if channel == Delivery.Channel.WEBHOOK else chat.send(route, notice)


def store(claim: Claim, answer: Answer, now: datetime) -> None:
    """Store what became of an attempt: delivered, the time of the next one, or given up after 24 hours."""
    rows, first = claim.deliveries, claim.first
    if answer.is_delivered:
        # Also if the claim has ended meanwhile: it has arrived.
        rows = Delivery.objects.pending().filter(message=claim.message)
        rows.update(delivered_at=now, next_attempt_at=None, claimed_until=None, answer=answer.text)
        return
    logger.warning("The message %s to %s was not delivered: %s", claim.message, first.recipient, answer.text)
    if first.retried_until is not None and now >= first.retried_until:
        rows.update(failed_at=now, next_attempt_at=None, claimed_until=None, answer=answer.text)
        return
    wait = min(FIRST_RETRY * 2 ** min(first.attempts - 1, 16), LONGEST_RETRY)
    rows.update(next_attempt_at=now + wait, claimed_until=None, answer=answer.text)
