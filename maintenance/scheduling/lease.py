"""The lease: the right to tick, for one scheduler at a time; a row with a fencing token, by the database's clock.

It is a row, not an advisory lock: a suspended process loses the lease when it expires, and what it writes on waking
is refused because of its old fencing token.
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

# A scheduler that was not seen for this many lease periods is gone.
GONE_LEASES = 3
# No lease ends later than this. The extra minute is for a database's clock that is adjusted a little.
LEASE_MAX = timedelta(seconds=settings.BEAT_LEASE_SECONDS_MAX + 60)


class LeaseLost(Exception):
    """Another scheduler holds the lease now; nothing may be written."""


class Lease:
    """The lease as one process sees it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # The random part distinguishes two processes that had the same pid.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._fence: int | None = None
        self._renewed_at = self._seen_at = float("-inf")
        # A reading of the database's clock, and of this process's monotonic clock at the same moment.
        self._clock = (timezone.now(), time.monotonic())  # noqa: TID251  (until the first acquire)
        self._has_read_clock = False
        # The last reading before the clock was set back, in the new time; and when the change was noticed.
        self._set_back: tuple[datetime, float] | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process believes that it holds the lease; only ``guard`` makes sure."""
        return self._fence is not None

    def now(self) -> datetime:
        """Return the database's clock, read at each tick and extrapolated by the monotonic clock.

        The host's own clock is not used: it may be wrong, and may be set.
        """
        read, then = self._clock
        return read + timedelta(seconds=time.monotonic() - then)

    def acquire(self) -> bool:
        """Renew the lease when that is due, or take it if it is free or has expired. False: another scheduler ticks."""
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
        # Measured before the statement, so that its waiting time does not make the lease look longer than it is.
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
        # The end is further ahead than any lease lasts: the clock was set back after its holder died.
        free = Q(expires_at__lt=Now()) | Q(expires_at__gt=Now() + LEASE_MAX) | Q(holder="")
        rows = BeatLease.objects.filter(pk=BeatLease.ROW)
        # Read first: a standby must not write, nor wait for the leader's row.
        if rows.exists():
            if not rows.filter(free).exists():
                return False
        else:
            BeatLease.objects.get_or_create(pk=BeatLease.ROW, defaults={"holder": "", "expires_at": Now()})
        started = time.monotonic()
        with transaction.atomic():
            # A leader that was suspended inside its transaction holds the row until the server ends its session.
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
        """Lock the lease within the caller's transaction, check the fencing token, and prolong the lease.

        So the transaction either belongs to the holder or writes nothing.

        Args:
            lag_seconds: how late the slots of this transaction are; None: it ticks no slots.

        Raises:
            LeaseLost: the lease has expired or another scheduler has it.
        """
        assert connection.in_atomic_block
        if connection.vendor == "postgresql":
            # If this process were suspended here, it would lock the row, and every standby would wait for it.
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
        """Write from time to time that this scheduler is alive, and delete the rows of those that are gone."""
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
        """Return the moment to which the database's clock was set back, once, if by a minute or more.

        Every scheduler notices it; one that takes over some time later need not repeat what the leader has done.
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
