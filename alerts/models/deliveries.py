"""Deliveries: what is told about an alert to one recipient, and what became of it."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from alerts.models.alerts import Alert
from alerts.models.outgoing import Outgoing, OutgoingQuerySet
from alerts.models.routes import Route
from database.constraints import DatabaseOnDelete


class DeliveryQuerySet(OutgoingQuerySet["Delivery"]):
    """Deliveries that belong together, and those that were given up."""

    def given_up_since(self, moment: datetime) -> Self:
        """Return the deliveries that were given up after the moment."""
        return self.filter(failed_at__gt=moment)

    def like(self, one: "Delivery") -> Self:
        """Return the deliveries about the same event and cause to the same recipient."""
        return self.filter(
            channel=one.channel, recipient=one.recipient, event=one.event, cause_key=one.cause_key
        )


class Delivery(Outgoing):
    """One event of one alert, told to one recipient.

    ::

        written with the alert ─► waits for others of its cause ─► in a message ─► delivered
                                                                    │     ▲
                                                                    └─────┴─► failed, after 24 hours of attempts

    The deliveries of one message are sent together and share its id, attempts and answer. The unique constraint makes
    one delivery of two that are written for the same event and recipient.
    """

    class Event(models.TextChoices):
        """What is told."""

        OPENED = "opened", pgettext_lazy("event of an alert", "opened")
        ESCALATED = "escalated", _("escalated")
        CLOSED = "closed", _("closed")

    class Channel(models.TextChoices):
        """How it is told."""

        MAIL = "mail", _("mail")
        WEBHOOK = "webhook", _("webhook")
        CHAT = "chat", _("chat")

    alert = models.ForeignKey(
        Alert,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # delivery_alert_fk
        related_name="deliveries",
        db_index=False,  # delivery_once_per_recipient
        verbose_name=_("alert"),
    )
    event = models.CharField(_("event"), max_length=9, choices=Event)
    channel = models.CharField(_("channel"), max_length=7, choices=Channel)
    # A mail address; of a webhook its host, of a chat its scheme, and the number of its route, because the address may contain a secret.
    recipient = models.CharField(_("recipient"), max_length=300)
    route = models.ForeignKey(
        Route,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # delivery_route_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("route"),
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # delivery_person_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("person"),
    )
    # Deliveries with the same key are told in one message.
    cause_key = models.CharField(max_length=32, editable=False)
    # The id of the message, the same in each attempt, by which a receiver can drop doubles.
    message = models.UUIDField(_("message"), null=True, blank=True)
    retried_until = models.DateTimeField(_("retried until"), null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta(Outgoing.Meta):
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        default_permissions = ("view",)
        constraints = [
            *Outgoing.Meta.constraints,
            DatabaseOnDelete(name="delivery_alert_fk", field="alert"),
            DatabaseOnDelete(name="delivery_route_fk", field="route", action="SET NULL"),
            DatabaseOnDelete(name="delivery_person_fk", field="person", action="SET NULL"),
            models.UniqueConstraint(
                fields=["alert", "event", "channel", "recipient"], name="delivery_once_per_recipient"
            ),
            models.CheckConstraint(
                name="delivery_event_known", condition=Q(event__in=["opened", "escalated", "closed"])
            ),
            models.CheckConstraint(
                name="delivery_channel_known", condition=Q(channel__in=["mail", "webhook", "chat"])
            ),
            models.CheckConstraint(name="delivery_has_recipient", condition=~Q(recipient="")),
            models.CheckConstraint(
                name="delivery_sent_in_a_message", condition=Q(attempts=0) | Q(message__isnull=False)
            ),
        ]
        indexes = [
            # sending: what is due
            models.Index(
                fields=["next_attempt_at", "id"],
                name="delivery_pending",
                condition=Q(next_attempt_at__isnull=False),
            ),
            # sending: the deliveries of one message
            models.Index(fields=["message"], name="delivery_message", condition=Q(message__isnull=False)),
            # sending: those about the same cause to the same recipient
            models.Index(fields=["recipient", "cause_key", "event"], name="delivery_of_one_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.get_event_display()}: {self.alert} → {self.recipient}"

    @property
    def tried_until(self) -> datetime:
        """24 hours after the first attempt, which quiet hours and others of its cause may have held back."""
        return self.retried_until or super().tried_until
