"""What a running run does at this moment: where its code is, its statement, who blocks it, and whom it blocks.

Nothing is asked unless somebody looks. A worker writes the process id of its session with the claim and with each
heartbeat, in statements that it sends anyway. That somebody looks is a time in the run's row; the worker reads it
where it looks for a cancel, and then writes the state of its process with its heartbeats.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import Error, connection

from database.deadlines import TooSlow, within
from database.messages import gettext as _
from database.sessions import Session, blocked_by, chain_of_blockers, sessions
from maintenance.models import JobRun, Person

logger = logging.getLogger(__name__)

# A look at the database may take this long; the page asks every three seconds.
LOOK_SECONDS = 2.0
# So may asking the worker.
ASK_SECONDS = 0.5
# A process id is given to a new session some day. The run's session began before the run, by another clock.
CLOCK_SKEW = timedelta(minutes=1)
PERMISSION = "maintenance.cancel_jobrun"


@dataclass(frozen=True)
class Seen:
    """A session, and the run that it works for, if this person may see that run."""

    session: Session
    run: JobRun | None


@dataclass(frozen=True)
class Thread:
    """A thread of the run; its frames as ``file:line function``, the innermost first."""

    name: str
    frames: Sequence[str]


@dataclass(frozen=True)
class Process:
    """The state of the run's process, as its worker has told it."""

    at: datetime
    # The job's own thread first.
    threads: Sequence[Thread]
    # In bytes; ``grown``: since the run began. None: not known.
    memory: int | None
    grown: int | None


@dataclass(frozen=True)
class XRay:
    """One look at a run."""

    # Why nothing at all is shown; empty: it is.
    fault: str = ""
    # None: not told, or not yet.
    process: Process | None = None
    # Why nothing of the database is shown; empty: it is.
    database_fault: str = ""
    session: Session | None = None
    # Directly and through others, the nearest first.
    blockers: tuple[Seen, ...] = ()
    blocked: tuple[Seen, ...] = ()


def may_look(person: Person) -> bool:
    """Whether the person may see what runs do in the database: who may cancel them."""
    return person.is_active and person.has_perm(PERMISSION)


def look(run: JobRun, *, by: Person) -> XRay:
    """Return what the run does now; the database is asked for at most ``LOOK_SECONDS``.

    Raises:
        PermissionDenied.
    """
    if not may_look(by):
        raise PermissionDenied(_("You may not cancel runs."))
    if not run.is_running:
        return XRay(_("It is not running."))
    _watch(run)
    process = _process(run)
    if connection.vendor != "postgresql":
        return XRay(process=process, database_fault=_("Only PostgreSQL tells what its sessions do."))
    try:
        with within(LOOK_SECONDS):
            return _look(run, by, process)
    except TooSlow:
        fault = _("The database did not answer in time: it is busy. The next look follows.")
        return XRay(process=process, database_fault=fault)


def _watch(run: JobRun) -> None:
    try:
        with within(ASK_SECONDS):
            run.watch()
    except (Error, TooSlow):  # such as a database that can only be read
        logger.warning("%s could not be asked what it does.", run, exc_info=True)


def _process(run: JobRun) -> Process | None:
    """Return what the worker wrote with its last heartbeat; None: nothing that can be read."""
    told: Any = run.process_state
    if not told or run.heartbeat_at is None:
        return None
    try:
        threads = [
            Thread(str(one["name"]), [str(frame) for frame in one["frames"]]) for one in told["threads"]
        ]
        return Process(run.heartbeat_at, threads, told["memory"], told["grown"])
    except (KeyError, TypeError):
        return None


def _look(run: JobRun, by: Person, process: Process | None) -> XRay:
    found = sessions()
    mine = found.get(run.backend_pid) if run.backend_pid else None
    if mine is None or not _began_before(mine, run):
        fault = _("Its session is not known: it connects anew, or through a pooler.")
        return XRay(process=process, database_fault=fault)
    blockers, blocked = chain_of_blockers(mine.pid, found), blocked_by(mine.pid, found)
    pids = [session.pid for session in (*blockers, *blocked)]
    runs = {
        other.backend_pid: other
        for other in JobRun.objects.running().visible_to(by).filter(backend_pid__in=pids)
        if other.backend_pid in found and _began_before(found[other.backend_pid], other)
    }
    return XRay(
        process=process,
        session=mine,
        blockers=tuple(Seen(session, runs.get(session.pid)) for session in blockers),
        blocked=tuple(Seen(session, runs.get(session.pid)) for session in blocked),
    )


def _began_before(session: Session, run: JobRun) -> bool:
    began, known = session.started_at, run.heartbeat_at or run.started_at
    return began is not None and known is not None and began <= known + CLOCK_SKEW
