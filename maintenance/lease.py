"""The right to tick: one scheduler at a time, by a row with a fencing token and the database's clock.

A row, not an advisory lock: a frozen holder of a row loses it when it expires, and what it writes on waking
is refused by the fence.
"""

import os
import socket
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from maintenance.models import BeatLease


class LeaseLost(Exception):
    """Another scheduler holds the lease now; nothing may be written."""


class Lease:
    """The lease row as one process sees it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # The random part tells two lives of one pid apart.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._fence: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process believes to hold it; only ``guard`` knows."""
        return self._fence is not None

    def acquire(self) -> bool:
        """Renew the lease, or take it if it is free or has expired. False: another scheduler ticks."""
        expires_at = Now() + timedelta(seconds=self.seconds)
        rows = BeatLease.objects.filter(pk=BeatLease.ROW)
        if self._fence is not None:
            if rows.filter(holder=self.holder, fence=self._fence).update(expires_at=expires_at):
                return True
            self._fence = None
        taken = rows.filter(Q(expires_at__lt=Now()) | Q(holder="")).update(
            holder=self.holder, fence=F("fence") + 1, expires_at=expires_at, acquired_at=Now()
        )
        if not taken:
            _, made = BeatLease.objects.get_or_create(
                pk=BeatLease.ROW,
                defaults={"holder": self.holder, "fence": 1, "expires_at": expires_at, "acquired_at": Now()},
            )
            if not made:
                return False
        self._fence = rows.filter(holder=self.holder).values_list("fence", flat=True).first()
        return self._fence is not None

    def guard(self) -> None:
        """Check the fence inside the caller's transaction, and lock the row until it ends.

        Raises:
            LeaseLost: the lease has expired or another scheduler has it.
        """
        assert transaction.get_connection().in_atomic_block
        if self._fence is None:
            raise LeaseLost
        held = BeatLease.objects.filter(
            pk=BeatLease.ROW, holder=self.holder, fence=self._fence, expires_at__gt=Now()
        )
        if not held.update(ticked_at=Now()):
            self._fence = None
            raise LeaseLost

    def release(self) -> None:
        """Let a standby take over at once."""
        if self._fence is not None:
            BeatLease.objects.filter(pk=BeatLease.ROW, holder=self.holder, fence=self._fence).update(
                holder="", expires_at=Now()
            )
            self._fence = None
