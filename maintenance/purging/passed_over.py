"""Rows that a purge passes over because somebody holds a lock on them, and who that is."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import Error, connections

from database.errors import Cause, cause_of
from database.messages import gettext as _
from database.messages import joined

# So many times a walk asks who holds a lock, each time that it meets again what it passed over.
ASKS_MAX = 3
# The second connection looks so long after the first began to wait, and again as long as it waits.
LOOK_SECONDS = 0.03
# More sessions are not named.
NAMED_MAX = 3


def refusal_of(error: BaseException) -> Cause | None:
    """Return why the same batch, or a smaller one, may pass later; None: it would be no use."""
    cause = cause_of(error)
    return cause if cause in (Cause.LOCKED, Cause.TIMEOUT) else None


class Session(NamedTuple):
    """A session of PostgreSQL that holds a lock. What its owner may not see of it is None."""

    pid: int  # 0: a prepared transaction
    user: str | None
    application: str | None
    state: str | None
    begun_at: datetime | None

    def __str__(self) -> str:
        if not self.pid:
            return _("a prepared transaction (see pg_prepared_xacts)")
        since = self.begun_at and f"{self.begun_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        about = [self.user, self.application, self.state, since]
        return _("session %(pid)s (%(about)s)") % {
            "pid": self.pid,
            "about": ", ".join(part for part in about if part),
        }


class PassedOver:
    """What one walk of a deletion could not delete so far, and what it knows of who was in the way."""

    def __init__(self, using: str) -> None:
        self._using = using
        # Primary keys, in the parts in which they were refused.
        self.places: list[list[Any]] = []
        # Whether a whole table, or all of SQLite's database, was refused until the walk gave up.
        self.is_stuck = False
        self.causes: set[Cause] = set()
        self._sessions: dict[int, Session] = {}
        self._holds_table = False
        self._asks_left = ASKS_MAX

    @property
    def rows(self) -> int:
        """How many rows it may be."""
        return sum(map(len, self.places))

    def take(self) -> list[list[Any]]:
        """Return the places, and forget them and who was in the way: it may be others now."""
        places, self.places = self.places, []
        self.causes.clear()
        self._sessions.clear()
        self._asks_left = ASKS_MAX
        return places

    @property
    def is_asking(self) -> bool:
        """Whether to ask who is in the way when the next batch has to wait."""
        return self._asks_left > 0

    @property
    def holds_table(self) -> bool:
        """Whether the lock that was last asked about is on a whole table."""
        return self._holds_table

    def who(self) -> str:
        """Return who is in the way, or what."""
        if connections[self._using].vendor != "postgresql":
            return _("another process is writing")
        if self._sessions:
            named = joined((str(session) for session in [*self._sessions.values()][:NAMED_MAX]), by=", ")
            return _("locked by %(sessions)s") % {"sessions": named}
        if self.causes == {Cause.TIMEOUT}:
            return _("each takes longer than the statement_timeout of the database")
        return _("the database did not grant a lock")

    @contextlib.contextmanager
    def watched(self, pid: int) -> Iterator[None]:
        """Find out who blocks the session ``pid`` while it waits inside; by a second connection, in a thread."""
        self._asks_left -= 1
        self._holds_table = False
        if not self.places:
            self._sessions.clear()  # those of earlier windows have let go
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(pid, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=5)

    def _look(self, pid: int, done: threading.Event) -> None:
        # For the message only: without an answer the purge works as well.
        with contextlib.closing(connections[self._using]) as mine, contextlib.suppress(Error):
            while not done.wait(LOOK_SECONDS):
                with mine.cursor() as cursor:
                    cursor.execute(
                        "SELECT waiting.locktype = 'relation', blocking.pid,"
                        " usename, application_name, state, xact_start"
                        " FROM pg_locks waiting, unnest(pg_blocking_pids(waiting.pid)) blocking (pid)"
                        " LEFT JOIN pg_stat_activity activity ON activity.pid = blocking.pid"
                        " WHERE waiting.pid = %s AND NOT waiting.granted",
                        [pid],
                    )
                    found = cursor.fetchall()
                for is_table, *session in found:
                    self._holds_table |= is_table
                    self._sessions[session[0]] = Session(*session)
                if found:
                    return
