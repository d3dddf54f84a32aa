"""Sends the pings that are due, those of one schedule in their order."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef

from alerts.channels.answers import Answer
from alerts.models import Ping
from alerts.models.outgoing import OutgoingQuerySet
from alerts.outgoing import Claim, Sender
from alerts.schedule_pings import requests
from alerts.schedule_pings.scan import Scanner
from database import clock


class PingSender(Sender[Ping]):
    """Sends pings, each by itself."""

    # Not longer: the pings behind it wait too, and the service would warn about a run that was in time.
    longest_retry: ClassVar = timedelta(minutes=5)

    def due(self, now: datetime) -> OutgoingQuerySet[Ping]:
        """Return the pings that are due and the first ones of their schedules."""
        before_it = Ping.objects.pending().filter(address=OuterRef("address"), pk__lt=OuterRef("pk"))
        return Ping.objects.due(now).filter(~Exists(before_it)).order_by("next_attempt_at", "pk")

    def claimable(self, first: Ping, now: datetime) -> tuple[OutgoingQuerySet[Ping], dict[str, Any]]:
        """Return the ping."""
        return Ping.objects.due(now).filter(pk=first.pk), {}

    def together(self, first: Ping) -> OutgoingQuerySet[Ping]:
        """Return the ping."""
        return Ping.objects.filter(pk=first.pk)

    def send(self, claim: Claim[Ping]) -> Answer:
        """Send the ping."""
        return requests.send(claim.first.address, claim.first.event, claim.first.body)

    def name(self, first: Ping) -> str:
        """Return its number and that of its schedule."""
        return f"Ping #{first.pk} of schedule #{first.address_id}"


SENDER = PingSender()


class SchedulePinger:
    """Writes and sends the pings of schedules."""

    def __init__(self) -> None:
        self._scanner = Scanner()

    def ping(self) -> int:
        """Write what is missing, send what is due, at most 20; return how many attempts were made."""
        self._scanner.scan(clock.database_now())
        return SENDER.send_due()
