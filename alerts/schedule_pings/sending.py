"""Sends the pings that are due, those of one schedule in their order, and stores the answers.

    due ─► claimed, in a transaction of its own ─► sent, outside of any ─► delivered, or the next attempt

A process that dies between sending and storing has sent a ping that is sent once more: it arrives at least once.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from alerts.channels.answers import Answer
from alerts.models import Ping
from alerts.schedule_pings import requests
from alerts.schedule_pings.scan import Scanner
from database import clock

logger = logging.getLogger(__name__)

# Longer than an attempt can take; after it, another process takes the ping over.
CLAIM = timedelta(minutes=5)
# Not longer: the pings behind it wait too, and the service would warn about a run that was in time.
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=30), timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(hours=24)
PINGS_AT_ONCE = 20


class SchedulePinger:
    """Writes and sends the pings of schedules."""

    def __init__(self) -> None:
        self._scanner = Scanner()

    def ping(self) -> int:
        """Write what is missing, send what is due, at most 20; return how many attempts were made."""
        self._scanner.scan(clock.database_now())
        return send_due()


def send_due() -> int:
    """Send the pings that are due, at most 20; return how many attempts were made."""
    for number in range(PINGS_AT_ONCE):
        ping = claim_next(clock.database_now())
        if ping is None:
            return number
        store(ping, _attempt(ping), clock.database_now())
    return PINGS_AT_ONCE


def claim_next(now: datetime) -> Ping | None:
    """Claim the ping that is due for the longest time and is the first of its schedule; None: there is none."""
    before_it = Ping.objects.pending().filter(address=OuterRef("address"), pk__lt=OuterRef("pk"))
    with transaction.atomic():
        due = Ping.objects.due(now).filter(~Exists(before_it)).order_by("next_attempt_at", "pk")
        ping = due.select_for_update(skip_locked=True).first()
        if ping is None:
            return None
        # A compare-and-set: of two processes that have read the same row, one updates it.
        mine = Ping.objects.due(now).filter(pk=ping.pk)
        if not mine.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1):
            return None
    return Ping.objects.select_related("address").filter(pk=ping.pk).first()


def _attempt(ping: Ping) -> Answer:
    try:
        return requests.send(ping.address, ping.event, ping.body)
    except Exception as error:
        # Without its text, which may contain the address.
        logger.error("Ping #%s could not be sent: %s", ping.pk, type(error).__name__)
        return Answer(type(error).__name__)


def store(ping: Ping, answer: Answer, now: datetime) -> None:
    """Store what became of an attempt: delivered, the time of the next one, or given up after 24 hours."""
    rows = Ping.objects.pending().filter(pk=ping.pk)
    if answer.is_delivered:
        # Also if the claim has ended meanwhile: it has arrived.
        rows.update(delivered_at=now, next_attempt_at=None, claimed_until=None, answer=answer.text)
        return
    logger.warning("Ping #%s of schedule #%s was not delivered: %s", ping.pk, ping.address_id, answer.text)
    mine = rows.filter(claimed_until=ping.claimed_until)
    if now >= ping.created_at + GIVE_UP_AFTER:
        mine.update(failed_at=now, next_attempt_at=None, claimed_until=None, answer=answer.text)
        return
    wait = min(FIRST_RETRY * 2 ** min(ping.attempts - 1, 16), LONGEST_RETRY)
    mine.update(next_attempt_at=now + wait, claimed_until=None, answer=answer.text)
