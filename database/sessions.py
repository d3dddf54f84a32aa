"""The sessions of PostgreSQL: which one a connection has, what each does now, and who waits for whom."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

# A prepared transaction holds locks without a session; pg_blocking_pids calls it 0.
PREPARED = 0

# A text in a statement, also one that the server has cut in the middle: it may be a person's, or a secret.
_TEXT = re.compile(r"'(?:[^']|'')*(?:'|\Z)")

_SESSIONS = """
    SELECT pid, coalesce(state, ''), coalesce(query, ''), coalesce(wait_event_type, ''), coalesce(wait_event, ''),
        clock_timestamp() - query_start, clock_timestamp() - xact_start, backend_start, coalesce(usename, ''),
        application_name,
        CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Session:
    """One session of the database, as the server sees it."""

    pid: int
    state: str = ""
    # The statement that runs, or the last one, without the texts in it.
    sql: str = ""
    wait_type: str = ""
    wait_event: str = ""
    statement_for: timedelta | None = None
    transaction_for: timedelta | None = None
    started_at: datetime | None = None
    user: str = ""
    application: str = ""
    blocked_by: tuple[int, ...] = ()

    @property
    def is_active(self) -> bool:
        """Whether its statement runs, or waits for a lock."""
        return self.state == "active"

    @property
    def is_prepared(self) -> bool:
        """Whether it is a prepared transaction, which has no session."""
        return self.pid == PREPARED


def pid_of(connection: Any) -> int | None:
    """Return the server's process id of an open connection, without a query; None: it has none, or is closed."""
    raw = connection.connection
    if connection.vendor != "postgresql" or raw is None or raw.closed:
        return None
    return int(raw.info.backend_pid) or None


def without_texts(sql: str) -> str:
    """Return the statement in one line, with … for each text in it."""
    return _TEXT.sub("'…'", " ".join(sql.split()))


def sessions(using: str = DEFAULT_DB_ALIAS) -> dict[int, Session]:
    """Return the other sessions of this database on PostgreSQL by their process id, in one query."""
    with connections[using].cursor() as cursor:
        cursor.execute(_SESSIONS)
        rows = cursor.fetchall()
    found = {}
    for (
        pid,
        state,
        sql,
        wait_type,
        wait_event,
        statement,
        transaction,
        started,
        user,
        name,
        blocked_by,
    ) in rows:
        found[pid] = Session(
            pid=pid,
            state=state,
            sql=without_texts(sql),
            wait_type=wait_type,
            wait_event=wait_event,
            statement_for=statement,
            transaction_for=transaction,
            started_at=started,
            user=user,
            application=name,
            # A session waits for another in several ways at once.
            blocked_by=tuple(dict.fromkeys(blocked_by)),
        )
    return found


def chain_of_blockers(pid: int, all_sessions: dict[int, Session]) -> list[Session]:
    """Return who blocks the session, directly and through others, the nearest first."""
    found: dict[int, Session] = {}
    nearest = [pid]
    while nearest:
        following = [
            other
            for one in nearest
            for other in (all_sessions[one].blocked_by if one in all_sessions else ())
            if other not in found and other != pid
        ]
        found |= {other: all_sessions.get(other, Session(other)) for other in following}
        nearest = following
    return list(found.values())


def blocked_by(pid: int, all_sessions: dict[int, Session]) -> list[Session]:
    """Return whom the session blocks, directly and through others, the nearest first."""
    found: dict[int, Session] = {}
    nearest = {pid}
    while nearest:
        following = {
            other.pid: other
            for other in all_sessions.values()
            if nearest & set(other.blocked_by) and other.pid not in found and other.pid != pid
        }
        found |= following
        nearest = set(following)
    return list(found.values())
