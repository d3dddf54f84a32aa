"""Sends what is told outside: messages about alerts, and pings of schedules.

    due ─► claimed, in a transaction of its own ─► sent, outside of any ─► delivered, or the next attempt

A process that dies between sending and storing has sent something that is sent once more when its claim ends: it
arrives at least once.
"""

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from django.db import transaction

from alerts.channels.answers import Answer
from alerts.models.outgoing import CLAIM, Outgoing, OutgoingQuerySet
from database import clock

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Outgoing)

FIRST_RETRY = timedelta(seconds=30)
# So much is sent before the caller looks again whether it is the one that sends.
SENT_AT_ONCE = 20


@dataclass(frozen=True)
class Claim(Generic[Row]):
    """What this process sends together; nobody else does so until ``until``."""

    first: Row
    # All that is sent with it, whoever has claimed it.
    rows: OutgoingQuerySet[Row]
    until: datetime

    @property
    def mine(self) -> OutgoingQuerySet[Row]:
        """The rows, as long as this claim lasts."""
        return self.rows.pending().filter(claimed_until=self.until)


class Sender(ABC, Generic[Row]):
    """Claims, sends and stores; what is due, and how it is sent, each kind says itself."""

    longest_retry: ClassVar[timedelta]

    @abstractmethod
    def due(self, now: datetime) -> OutgoingQuerySet[Row]:
        """Return what may be sent now, the most urgent first."""

    @abstractmethod
    def claimable(self, first: Row, now: datetime) -> tuple[OutgoingQuerySet[Row], dict[str, Any]] | None:
        """Return the rows to claim with the first one, and what else to store; None: it was made to wait."""

    @abstractmethod
    def together(self, first: Row) -> OutgoingQuerySet[Row]:
        """Return the rows that are sent with the first one, after it was claimed."""

    @abstractmethod
    def send(self, claim: Claim[Row]) -> Answer:
        """Send what was claimed."""

    @abstractmethod
    def name(self, first: Row) -> str:
        """Return how the log names it, without its address."""

    def send_due(self) -> int:
        """Send what is due, at most 20 times; return how many attempts were made."""
        for number in range(SENT_AT_ONCE):
            claim = self.claim_next(clock.database_now())
            if claim is None:
                return number
            self.store(claim, self.attempt(claim), clock.database_now())
        return SENT_AT_ONCE

    def claim_next(self, now: datetime) -> Claim[Row] | None:
        """Claim what is due for the longest time; None: nothing is due."""
        while True:
            with transaction.atomic():
                first = self.due(now).select_for_update(skip_locked=True).first()
                if first is None:
                    return None
                found = self.claimable(first, now)
                if found is not None and found[0].claim(now, **found[1]):
                    first.refresh_from_db()
                    return Claim(first, self.together(first), now + CLAIM)

    def attempt(self, claim: Claim[Row]) -> Answer:
        """Send what was claimed; no error leaves this method but one of the database."""
        try:
            return self.send(claim)
        except Exception as error:
            logger.exception("%s could not be sent.", self.name(claim.first))
            # Without its text, which may contain the address; the log leaves that out.
            return Answer(type(error).__name__)

    def store(self, claim: Claim[Row], answer: Answer, now: datetime) -> None:
        """Store what became of an attempt: delivered, the time of the next one, or given up after 24 hours."""
        if answer.is_delivered:
            # Also if the claim has ended meanwhile: it has arrived.
            claim.rows.mark_delivered(answer.text, now)
            return
        logger.warning("%s was not delivered: %s", self.name(claim.first), answer.text)
        if now >= claim.first.tried_until:
            claim.mine.mark_failed(answer.text, now)
            return
        wait = min(FIRST_RETRY * 2 ** min(claim.first.attempts - 1, 16), self.longest_retry)
        claim.mine.try_again(answer.text, now + wait)
