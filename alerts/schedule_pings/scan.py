"""Finds in the ledger what is to be told, and writes one ping for each event of each run.

Nothing is written with a run: the scan costs one query while no schedule has an address, and a run none.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, F, OuterRef, Q

from alerts.models import Ping, PingAddress
from database.redaction import redacted
from maintenance.models import JobRun
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.statuses import OPEN
from maintenance.registry import job_title

Status, Event = JobRun.Status, Ping.Event

# A run that ended longer ago is not told any more: that is how long a ping is tried too.
REACH: Final = timedelta(hours=24)
# A scan reads again what ended so long before the scan before it: a transaction may commit late, and clocks disagree.
OVERLAP: Final = timedelta(minutes=10)
# So many runs are read at once, and so many times in one scan.
RUNS_AT_ONCE, ROUNDS = 500, 10
BODY_LENGTH: Final = 2_000
# The work, or a part of it, was not done.
FAILING: Final = (
    Status.FAILED,
    Status.PARTIAL,
    Status.MISSED,
    Status.CANCELLED,
    Status.INTERRUPTED,
    Status.BLOCKED,
)


class Scanner:
    """Remembers up to when this process has read the ledger; a new one reads the last 24 hours."""

    def __init__(self) -> None:
        self._read_until: datetime | None = None

    def scan(self, now: datetime) -> int:
        """Write the pings that are missing; return how many there were."""
        if not PingAddress.objects.exists():
            return 0
        since = now - REACH
        if self._read_until is not None:
            since = max(since, self._read_until - OVERLAP)
        written = 0
        for _round in range(ROUNDS):
            # Ends first: a run that ends between the two queries must not have its end written before its start.
            ended, begun = list(_ended(since)[:RUNS_AT_ONCE]), list(_begun(since)[:RUNS_AT_ONCE])
            found = [*_ends(ended), *_starts(begun)]
            found.sort(key=lambda one: one[:3])
            pings = [
                Ping(address_id=run.schedule_id, run=run, event=event, body=body, next_attempt_at=now)
                for _moment, _pk, _rank, run, event, body in found
            ]
            Ping.objects.bulk_create(pings, ignore_conflicts=True)
            written += len(pings)
            if max(len(ended), len(begun)) < RUNS_AT_ONCE:
                self._read_until = now
                break
        return written


Found = tuple[datetime, int, int, JobRun, str, str]


def _of_addresses() -> JobRunQuerySet:
    return JobRun.objects.filter(dry_run=False, schedule__ping_address__isnull=False).order_by("pk")


def _begun(since: datetime) -> JobRunQuerySet:
    """Return the runs whose start is not told; of a run with several attempts, the first one starts it."""
    rows = _of_addresses().filter(attempt=1, started_at__gte=F("schedule__ping_address__since"))
    return rows.filter(Q(status__in=OPEN) | Q(finished_at__gte=since), ~_told(Event.START))


def _ended(since: datetime) -> JobRunQuerySet:
    """Return the runs whose end is not told; of a run with several attempts, the last one ends it."""
    after = F("schedule__ping_address__since")
    over = Q(finished_at__gte=since) & Q(finished_at__gte=after)
    # What is blocked has no end yet, and waits for a person.
    stopped = over | Q(status=Status.BLOCKED, heartbeat_at__gte=after)
    fails = Q(status__in=FAILING) | Q(status=Status.SKIPPED, started_at__isnull=False)
    untold = (Q(status=Status.SUCCEEDED) & ~_told(Event.SUCCESS)) | (fails & ~_told(Event.FAIL))
    rows = _of_addresses().filter(stopped, untold, next_attempt__isnull=True)
    # The newer run does its work.
    return rows.exclude(reason=JobRun.Reason.SUPERSEDED)


def _told(event: str) -> Exists:
    return Exists(Ping.objects.filter(run=OuterRef("pk"), event=event))


def _starts(runs: list[JobRun]) -> Iterator[Found]:
    for run in runs:
        if run.started_at is not None:
            yield run.started_at, run.pk, 0, run, Event.START, ""


def _ends(runs: list[JobRun]) -> Iterator[Found]:
    for run in runs:
        moment = run.finished_at or run.heartbeat_at
        event = Event.SUCCESS if run.status == Status.SUCCEEDED else Event.FAIL
        if moment is not None:
            yield moment, run.pk, 1, run, event, _reason_in_words(run)


def _reason_in_words(run: JobRun) -> str:
    """Return how and why the run ended, in the language of the process, without secrets."""
    how = f"{job_title(run.job)} #{run.pk}: {run.get_status_display()}"
    why = f" – {run.get_reason_display()}" if run.reason else ""
    told = [f"{how}{why}", *(str(text) for text in (run.message, run.error) if text)]
    return redacted("\n".join(told))[:BODY_LENGTH]
