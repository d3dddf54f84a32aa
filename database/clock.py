"""The database's clock, which is the same for all hosts.

All code that decides by time, or stores a time that other processes compare, uses it. A host's own clock may be wrong
or may be changed, so the linter refuses ``django.utils.timezone.now`` everywhere else.
"""

import time
from datetime import datetime, timedelta

from django.db import Error, connection
from django.utils import timezone

# How long a reading is extrapolated with the monotonic clock before the database is asked again.
CARRIED_SECONDS = 5.0
# A new reading that is behind the old one by less than this shows the time of the query, not a clock that was set back.
JITTER = timedelta(milliseconds=50)
# With a larger clock skew than this, a host must not do anything that cannot be undone.
SKEW_MAX = timedelta(seconds=60)
# On Linux, CLOCK_BOOTTIME goes on while the machine is suspended.
_STOPWATCH = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# A reading of the database's clock, with this process's monotonic clock at the same time.
_reading: tuple[datetime, float] | None = None


class ClockSkew(Exception):
    """The clocks of this host and of the database differ by more than a minute."""

    def __init__(self, *, host: datetime, database: datetime) -> None:
        super().__init__(f"The host's clock shows {host.isoformat()}, the database's {database.isoformat()}.")
        self.host, self.database = host, database


def database_now() -> datetime:
    """Return the database's clock, also within a transaction (where PostgreSQL's ``now()`` stands still)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            now: datetime = cursor.fetchone()[0]
            return now
    return timezone.now()  # SQLite uses its host's clock


def now() -> datetime:
    """Return the database's clock: read every few seconds, and extrapolated with a monotonic clock in between.

    Raises:
        django.db.Error: the database was never reached.
    """
    global _reading
    stopwatch = time.clock_gettime(_STOPWATCH)
    carried = _reading and _reading[0] + timedelta(seconds=stopwatch - _reading[1])
    if _reading and carried and stopwatch - _reading[1] < CARRIED_SECONDS:
        return carried
    try:
        read = database_now()
    except Error:  # the database is unreachable, or this transaction has failed
        if carried is None:
            raise
        return carried
    if carried and timedelta() < carried - read < JITTER:
        read = carried  # otherwise a run of a millisecond would end before it began
    _reading = read, time.clock_gettime(_STOPWATCH)
    return read


def refuse_skew() -> None:
    """Raise ClockSkew if the clocks of this host and of the database differ by more than a minute."""
    host, database = timezone.now(), database_now()
    if abs(host - database) > SKEW_MAX:
        raise ClockSkew(host=host, database=database)
