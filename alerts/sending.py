"""Sends the messages about alerts: the deliveries of one cause to one recipient are told together."""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.db.models import Exists, OuterRef

from alerts.channels import chat, mail, webhook
from alerts.channels.answers import Answer
from alerts.channels.texts import Notice
from alerts.models import Delivery, Route
from alerts.models.deliveries import DeliveryQuerySet
from alerts.models.outgoing import GIVE_UP_AFTER
from alerts.outbox import COLLECT
from alerts.outgoing import Claim, Sender
from alerts.reading import joined, reading_of
from database import clock
from database.messages import gettext as _

# After a message, others about the same event and cause wait so long for each other.
SAME_CAUSE_EVERY = timedelta(minutes=15)


class MessageSender(Sender[Delivery]):
    """Sends messages; each has an id, the same in all of its attempts."""

    longest_retry: ClassVar = timedelta(hours=1)

    def due(self, now: datetime) -> DeliveryQuerySet:
        """Return the deliveries that are due, in the order of their times."""
        return Delivery.objects.due(now).order_by("next_attempt_at", "pk")

    def claimable(self, first: Delivery, now: datetime) -> tuple[DeliveryQuerySet, dict[str, Any]] | None:
        """Return the message again; or a new one, of all that waits with the first delivery."""
        if first.message is not None:
            return Delivery.objects.due(now).filter(message=first.message), {}
        waiting = Delivery.objects.pending().like(first).filter(message__isnull=True)
        if (later := _held_until(first, now)) is not None:
            waiting.update(next_attempt_at=later)
            return None
        if first.event == Delivery.Event.CLOSED:
            waiting = waiting.exclude(Exists(_untold(first).filter(alert=OuterRef("alert"))))
        return waiting, {"message": uuid4(), "retried_until": now + GIVE_UP_AFTER}

    def together(self, first: Delivery) -> DeliveryQuerySet:
        """Return the deliveries of the message."""
        return Delivery.objects.filter(message=first.message)

    def send(self, claim: Claim[Delivery]) -> Answer:
        """Send the message."""
        first = claim.first
        rows = list(claim.rows.select_related("alert", "route").order_by("pk"))
        readers = {(row.person_id, row.route_id): row for row in rows}
        assert first.message is not None  # claimed
        notice = Notice(
            first.message,
            first.event,
            [row.alert for row in rows],
            clock.database_now(),
            joined(reading_of(row.person_id, row.route) for row in readers.values()),
            _ended(rows) if first.event == Delivery.Event.CLOSED else (),
        )
        return send(first.channel, first.recipient, first.route, notice)

    def name(self, first: Delivery) -> str:
        """Return the id of the message and who gets it."""
        return f"The message {first.message} to {first.recipient}"


SENDER = MessageSender()


def _held_until(first: Delivery, now: datetime) -> datetime | None:
    """Return until when a new message must wait; None: it may be sent."""
    alike = Delivery.objects.like(first).filter(message__isnull=False)
    if alike.pending().exists():
        return now + COLLECT  # the one before it has not arrived
    if first.event == Delivery.Event.CLOSED and _untold(first).filter(alert=first.alert_id).exists():
        return now + COLLECT  # nobody is told of an end before the beginning
    last = alike.filter(delivered_at__gt=now - SAME_CAUSE_EVERY).order_by("-delivered_at").first()
    return last.delivered_at + SAME_CAUSE_EVERY if last and last.delivered_at else None


def _untold(one: Delivery) -> DeliveryQuerySet:
    begun = Delivery.objects.pending().exclude(event=Delivery.Event.CLOSED)
    return begun.filter(channel=one.channel, recipient=one.recipient)


def _ended(closings: list[Delivery]) -> list[UUID]:
    """Return the messages that told of the beginnings, except those of which another alert is still open."""
    one = closings[0]
    begun = Delivery.objects.filter(channel=one.channel, recipient=one.recipient, message__isnull=False)
    begun = begun.exclude(event=Delivery.Event.CLOSED)
    of_these = begun.filter(alert__in=[row.alert_id for row in closings])
    is_open = begun.filter(message=OuterRef("message"), alert__closed_at__isnull=True)
    found = of_these.filter(~Exists(is_open)).order_by("pk").values_list("message", flat=True)
    return list(dict.fromkeys(message for message in found if message is not None))


def send(channel: str, recipient: str, route: Route | None, notice: Notice) -> Answer:
    """Send a message to one recipient."""
    if channel == Delivery.Channel.MAIL:
        return mail.send(recipient, notice)
    if route is None or route.to != channel:
        return Answer(_("The route of this address was deleted."))
    return webhook.send(route, notice) if channel == Delivery.Channel.WEBHOOK else chat.send(route, notice)
