"""The rows that a purge passes over because they are locked, and the sessions that lock them."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import Error, connections

from adminkit.templatetags.display import moment
from database.errors import Cause, cause_of
from database.messages import gettext as _
from database.messages import joined

# How many times a walk asks who holds a lock, when it tries rows again that it passed over.
ASKS_MAX = 3
# The second connection asks this long after the first began to wait, and again while it waits.
LOOK_SECONDS = 0.03
# At most this many sessions are named.
NAMED_MAX = 3


def refusal_of(error: BaseException) -> Cause | None:
    """Return the cause of a refusal after which the same batch, or a smaller one, may succeed later; else None."""
    cause = cause_of(error)
    return cause if cause in (Cause.LOCKED, Cause.TIMEOUT) else None


class Session(NamedTuple):
    """A session of PostgreSQL that holds a lock; columns that the database user may not read are None."""

    pid: int  # 0: a prepared transaction
    user: str | None
    application: str | None
    state: str | None
    begun_at: datetime | None

    def __str__(self) -> str:
        if not self.pid:
            return _("a prepared transaction (see pg_prepared_xacts)")
        since = self.begun_at and moment(self.begun_at)
        about = [self.user, self.application, self.state, since]
        return _("session %(pid)s (%(about)s)") % {
            "pid": self.pid,
            "about": ", ".join(part for part in about if part),
        }


class PassedOver:
    """What one walk of a deletion could not delete so far, and the sessions that held the locks, if known."""

    def __init__(self, using: str) -> None:
        self._using = using
        # Primary keys, grouped as they were refused.
        self.places: list[list[Any]] = []
        # Whether a whole table, or all of SQLite's database, was refused until the walk gave up.
        self.is_stuck = False
        self.causes: set[Cause] = set()
        self._sessions: dict[int, Session] = {}
        self._holds_table = False
        self._is_answered = False
        self._asks_left = ASKS_MAX

    @property
    def rows(self) -> int:
        """The highest possible number of rows."""
        return sum(map(len, self.places))

    def take(self) -> list[list[Any]]:
        """Return the places, and forget them and the sessions: others may hold the locks now."""
        places, self.places = self.places, []
        self.causes.clear()
        self._sessions.clear()
        self._asks_left = ASKS_MAX
        return places

    @property
    def is_asking(self) -> bool:
        """Whether to ask who holds the lock when the next batch has to wait."""
        return self._asks_left > 0

    @property
    def holds_table(self) -> bool:
        """Whether the lock that was last asked about is on a whole table."""
        return self._holds_table

    @property
    def is_unknown(self) -> bool:
        """Whether the last question had no answer in time, as on a busy machine, and may be asked again."""
        return not self._is_answered and self.is_asking

    def who(self) -> str:
        """Return, as a text, which sessions or causes are in the way."""
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
        """Find out, by a second connection in a thread, who blocks the session ``pid`` while the body waits."""
        self._asks_left -= 1
        self._holds_table = self._is_answered = False
        if not self.places:
            self._sessions.clear()  # those of earlier windows have released their locks
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(pid, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=5)

    def _look(self, pid: int, done: threading.Event) -> None:
        # Only for the message: the purge also works without an answer.
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
                    self._is_answered = True
                    return
