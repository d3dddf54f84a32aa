"""The right to tick: one scheduler at a time, by a row with a fencing token and the database's clock.

A row, not an advisory lock: a frozen holder of a row loses it when it expires, and what it writes on waking
is refused by the fence.
"""

import logging
import os
import socket
import time
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from database import clock
from maintenance.models import BeatLease, BeatProcess
from maintenance.scheduling.slots import AHEAD

logger = logging.getLogger(__name__)

# A scheduler that was not seen for so many leases is gone.
GONE_LEASES = 3
# No lease ends later than that: a minute is for hosts whose databases' clocks are put right by a little.
LEASE_MAX = timedelta(seconds=settings.BEAT_LEASE_SECONDS_MAX + 60)


class LeaseLost(Exception):
    """Another scheduler holds the lease now; nothing may be written."""


class Lease:
    """The lease row as one process sees it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # The random part tells two lives of one pid apart.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._fence: int | None = None
        self._renewed_at = self._seen_at = float("-inf")
        # What the database's clock showed when this process's stopwatch did.
        self._clock = (timezone.now(), time.monotonic())  # noqa: TID251  (until the first acquire)
        self._has_read_clock = False
        # The clock at the last reading before it was set back, as it shows time now; and when that was noticed.
        self._set_back: tuple[datetime, float] | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process believes to hold it; only ``guard`` knows."""
        return self._fence is not None

    def now(self) -> datetime:
        """Return the database's clock, read at each tick and carried on by a stopwatch.

        The host's own clock plays no part: it may be wrong, and may be set.
        """
        read, then = self._clock
        return read + timedelta(seconds=time.monotonic() - then)

    def acquire(self) -> bool:
        """Renew the lease when that is due, or take it if it is free or has expired. False: another one ticks."""
        self._read_clock()
        self._show_up()
        if self._fence is not None:
            if time.monotonic() - self._renewed_at < self.seconds / 3:
                return True
            if self._renew():
                return True
            self._fence = None
        return self._take()

    def _renew(self, **values: object) -> bool:
        # Measured before: what the statement waits for must not make the lease look longer than it is.
        started = time.monotonic()
        assert self._fence is not None
        held = BeatLease.objects.filter(
            pk=BeatLease.ROW, holder=self.holder, fence=self._fence, expires_at__gt=Now()
        )
        if not held.update(expires_at=Now() + timedelta(seconds=self.seconds), ticked_at=Now(), **values):
            return False
        self._renewed_at = started
        return True

    def _take(self) -> bool:
        # Further ahead than any lease lasts: the clock was set back since its holder died.
        free = Q(expires_at__lt=Now()) | Q(expires_at__gt=Now() + LEASE_MAX) | Q(holder="")
        rows = BeatLease.objects.filter(pk=BeatLease.ROW)
        # A look first: a standby must not write, nor wait for the leader's row.
        if rows.exists():
            if not rows.filter(free).exists():
                return False
        else:
            BeatLease.objects.get_or_create(pk=BeatLease.ROW, defaults={"holder": "", "expires_at": Now()})
        started = time.monotonic()
        with transaction.atomic():
            # A leader that froze inside its transaction holds the row until the server ends its session.
            if not rows.filter(free).select_for_update(skip_locked=True).exists():
                return False
            taken = rows.filter(free).update(
                holder=self.holder,
                fence=F("fence") + 1,
                expires_at=Now() + timedelta(seconds=self.seconds),
                acquired_at=Now(),
                ticked_at=Now(),
            )
        if not taken:
            return False
        self._fence = rows.filter(holder=self.holder).values_list("fence", flat=True).first()
        self._renewed_at = started
        return self._fence is not None

    def guard(self, *, lag_seconds: float | None = None) -> None:
        """Lock the lease within the caller's transaction and check the fence; prolong it.

        Whatever the transaction writes is thereby written by the holder, or not at all.

        Args:
            lag_seconds: how late the slots are that this transaction ticks; None: it ticks none.

        Raises:
            LeaseLost: the lease has expired or another scheduler has it.
        """
        assert connection.in_atomic_block
        if connection.vendor == "postgresql":
            # Frozen in here, this process would keep the row, and so every standby, for as long as it sleeps.
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
                    [f"{round(self.seconds * 1000)}ms"],
                )
        values = {} if lag_seconds is None else {"lag_seconds": lag_seconds}
        if self._fence is None or not self._renew(**values):
            self._fence = None
            raise LeaseLost

    def release(self) -> None:
        """Let a standby take over at once."""
        if self._fence is not None:
            BeatLease.objects.filter(pk=BeatLease.ROW, holder=self.holder, fence=self._fence).update(
                holder="", expires_at=Now()
            )
            self._fence = None
        BeatProcess.objects.filter(pk=self.holder).delete()

    def _show_up(self) -> None:
        """Tell now and then that this scheduler is alive, and forget those that are gone."""
        if time.monotonic() - self._seen_at < self.seconds:
            return
        self._seen_at = time.monotonic()
        BeatProcess.objects.update_or_create(
            pk=self.holder,
            defaults={"seen_at": Now()},
            create_defaults={"seen_at": Now(), "started_at": Now()},
        )
        gone = Now() - timedelta(seconds=GONE_LEASES * self.seconds)
        BeatProcess.objects.filter(Q(seen_at__lt=gone) | Q(seen_at__gt=Now() + LEASE_MAX)).delete()

    def take_set_back(self) -> datetime | None:
        """Return since when the database's clock shows its present time, once after it was set back by a minute or more.

        Every scheduler notices it; one that takes over a while later need not do what the leader has done.
        """
        noticed, self._set_back = self._set_back, None
        if noticed is None or time.monotonic() - noticed[1] > GONE_LEASES * self.seconds:
            return None
        return noticed[0]

    def _read_clock(self) -> None:
        read, stopwatch = clock.database_now(), time.monotonic()
        before, then = self._clock
        elapsed = timedelta(seconds=stopwatch - then)
        if self._has_read_clock and before + elapsed - read > AHEAD:
            logger.warning("The database's clock was set back from %s to %s.", before + elapsed, read)
            self._set_back = (read - elapsed, stopwatch)
        self._clock, self._has_read_clock = (read, stopwatch), True
