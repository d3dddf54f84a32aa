"""Tells whether queued runs are being claimed: how many workers live, when one last took a run, and what waits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from django.conf import settings
from django.db.models import Count, F, Min
from django.db.models.functions import Coalesce, Greatest

from database import clock
from maintenance.models import JobRun, WorkerProcess

# A worker that was not seen for this many heartbeats is gone.
GONE_HEARTBEATS = 6


class WorkersState(StrEnum):
    """The state of the workers, the worst first."""

    NONE = "none"  # no worker is alive
    UNSERVED = "unserved"  # a queue has no worker; the others have one
    UNRESPONSIVE = (
        "unresponsive"  # none of them listens: no connection to the broker, or their event loops hang
    )
    STUCK = "stuck"  # runs have waited for long, and no worker takes any
    BUSY = "busy"  # runs have waited for long because all workers are busy
    WELL = "well"


@dataclass(frozen=True)
class WorkerHealth:
    """The workers as the database knows them; all times are its clock."""

    alive: list[str]
    # How many of them could take a message.
    listening: list[str]
    # The queues from which none of them takes messages.
    unserved: list[str]
    # Seconds since any of them last took a run; None: none ever did.
    taken_age: timedelta | None
    # Seconds since the workers were last seen; None: there are none.
    seen_age: timedelta | None
    # Queued runs that only wait for a worker, and how long the first of them has waited.
    waiting: int
    queue_age: timedelta
    # Since when it has waited; None: none waits.
    waiting_since: datetime | None

    @cached_property
    def state(self) -> WorkersState:
        """The verdict; one more query, if runs have waited for long."""
        if not self.alive:
            return WorkersState.NONE
        if not self.listening:
            return WorkersState.UNRESPONSIVE
        if self.unserved:
            return WorkersState.UNSERVED
        patience = timedelta(seconds=settings.WORKER_STUCK_SECONDS)
        if self.queue_age > patience:
            is_idle = self.taken_age is None or self.taken_age > patience
            return (
                WorkersState.STUCK if is_idle and not JobRun.objects.running().exists() else WorkersState.BUSY
            )
        return WorkersState.WELL

    @property
    def is_well(self) -> bool:
        """Whether a run that is queued now will be taken."""
        return self.state in (WorkersState.WELL, WorkersState.BUSY)


def worker_health() -> WorkerHealth:
    """Return the workers' health, in two small queries."""
    now = clock.now()
    gone = timedelta(seconds=GONE_HEARTBEATS * settings.HEARTBEAT_SECONDS)
    alive = list(WorkerProcess.objects.filter(seen_at__gt=now - gone))
    listening = [worker for worker in alive if worker.listening_at and worker.listening_at > now - gone]
    waiting_since = Greatest("queued_at", Coalesce("not_before", F("queued_at")))
    waiting = JobRun.objects.could_start().aggregate(number=Count("pk"), first=Min(waiting_since))
    first: datetime | None = waiting["first"]
    return WorkerHealth(
        alive=[worker.name for worker in alive],
        listening=[worker.name for worker in listening],
        unserved=[
            name for name in settings.JOB_QUEUES if not any(worker.takes(name) for worker in listening)
        ],
        taken_age=_age(now, [worker.taken_at for worker in alive]),
        seen_age=_age(now, [worker.seen_at for worker in alive]),
        waiting=waiting["number"],
        queue_age=max(timedelta(0), now - first) if first else timedelta(0),
        waiting_since=first,
    )


def _age(now: datetime, moments: list[datetime | None]) -> timedelta | None:
    known = [moment for moment in moments if moment is not None]
    return max(timedelta(0), now - max(known)) if known else None
