"""What is told outside: a row that is sent by one process at a time, with its attempts and the last answer."""

from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database import clock
from database.messages import MessageField, MessagesQuerySet, PartsField

# Longer than an attempt can take; after it, another process takes the rows over.
CLAIM = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(hours=24)

Row = TypeVar("Row", bound="Outgoing")


class OutgoingQuerySet(MessagesQuerySet[Row]):
    """States of what is told outside, and the changes between them."""

    def pending(self) -> Self:
        """Return the rows that are neither delivered nor failed."""
        return self.filter(next_attempt_at__isnull=False)

    def due(self, now: datetime) -> Self:
        """Return the pending rows whose attempt is due and that no process is sending."""
        unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
        return self.pending().filter(unclaimed, next_attempt_at__lte=now)

    def claim(self, now: datetime, **values: Any) -> bool:
        """Claim these rows for one attempt; False: another process has them.

        A compare-and-set: of two processes that have read the same rows, one updates them.
        """
        attempts = F("attempts") + 1
        return bool(self.update(claimed_until=now + CLAIM, attempts=attempts, **values))

    def mark_delivered(self, answer: str, now: datetime) -> None:
        """Pending ─► delivered."""
        self.pending().update(delivered_at=now, next_attempt_at=None, claimed_until=None, answer=answer)

    def mark_failed(self, answer: str, now: datetime) -> None:
        """Pending ─► failed."""
        self.pending().update(failed_at=now, next_attempt_at=None, claimed_until=None, answer=answer)

    def try_again(self, answer: str, at: datetime) -> None:
        """Give the claim back; the next attempt is due at a moment."""
        self.pending().update(next_attempt_at=at, claimed_until=None, answer=answer)


class Outgoing(models.Model):
    """One event that is told to a receiver outside.

    ::

        written ─► due ─► claimed ─► delivered
                    ▲        │
                    └────────┴─► failed, after 24 hours of attempts

    ``alerts.outgoing`` moves the rows.
    """

    attempts = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    # What the receiver's server said, or why the attempt failed.
    answer = MessageField(_("answer"), blank=True, db_default="")
    answer_parts = PartsField(of="answer")
    created_at = models.DateTimeField(_("written"), default=clock.now, db_default=Now())
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    claimed_until = models.DateTimeField(_("claimed until"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True)
    failed_at = models.DateTimeField(_("given up"), null=True, blank=True)

    class Meta:
        abstract = True
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="%(class)s_pending_or_ended_once",
                condition=Q(next_attempt_at__isnull=False, delivered_at__isnull=True, failed_at__isnull=True)
                | Q(next_attempt_at__isnull=True, delivered_at__isnull=False, failed_at__isnull=True)
                | Q(next_attempt_at__isnull=True, delivered_at__isnull=True, failed_at__isnull=False),
            )
        ]

    @property
    def tried_until(self) -> datetime:
        """From when on a failed attempt is the last one."""
        return self.created_at + GIVE_UP_AFTER

    @property
    def state(self) -> str:
        """Waiting, delivered or failed: the name of its mark."""
        return "succeeded" if self.delivered_at else "failed" if self.failed_at else "queued"
