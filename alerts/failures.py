"""Which jobs fail: the definition that the dashboard and the rules of alerts share.

Runs of the same job with the same parameters form a group. A group is failing until a later run of it succeeds.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from django.db.models import BooleanField, Case, F, Q, When

from database.slices import Each, bound, first_of_each, values_of_each
from maintenance.models import JobRun
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.statuses import FAILURES
from maintenance.registry import get_job, is_known

# Older failures are not listed, but for those of an active schedule that has had no slot since, such as one of every month.
WITHIN = timedelta(days=7)
# Somebody who requested a run has seen how it ended, so it is not listed for a week.
BY_HAND_WITHIN = timedelta(days=1)
# How many of the newest failures of each state are read; and how many latest runs decide about a group.
FAILURES_MAX = 50
RUNS_MAX = 100
RUNS_OF_A_SCHEDULE = 10
JUDGED_BY = 10
GROUPS_MAX = 30
CAUSE_LENGTH = 160

_ENDED = (JobRun.Status.SUCCEEDED, *FAILURES)
_FIELDS = (
    "job",
    "params",
    "status",
    "schedule",
    "schedule_name",
    "queued_at",
    "finished_at",
    "dry_run",
    "trigger",
)
Key = tuple[str, str]


class Ended(NamedTuple):
    """A run that ended: as much of it as decides about its group."""

    pk: int
    job: str
    params: dict[str, Any]
    status: str
    finished_at: datetime | None


@dataclass(frozen=True)
class Group:
    """The ended runs of one job with the same parameters, newest first."""

    newest_failure: JobRun
    runs: Sequence[JobRun | Ended]
    # The oldest run of the job that was read, of which older ones were not; None: all were.
    oldest_read: Ended | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the latest of them failed."""
        latest = self.runs[0] if self.runs else self.newest_failure
        # Its next attempt may be too long ago to be among the runs that were read.
        is_mended = latest.pk == self.newest_failure.pk and self._again == JobRun.Status.SUCCEEDED
        return latest.status in FAILURES and not is_mended

    @property
    def failed(self) -> int:
        """How many of the latest runs failed."""
        return max(1, sum(run.status in FAILURES for run in self.runs[:JUDGED_BY]))

    @property
    def of(self) -> int:
        """How many runs were read."""
        return max(1, len(self.runs[:JUDGED_BY]))

    @property
    def since(self) -> datetime | None:
        """When the first of the consecutive failures ended."""
        since = self.newest_failure.finished_at
        for run in self.runs:
            if run.status not in FAILURES:
                break
            since = run.finished_at
        return since

    @property
    def may_be_older(self) -> bool:
        """Whether there may be earlier failures before ``since`` without a success in between."""
        return self.oldest_read is not None and all(run.status in FAILURES for run in self.runs)

    @property
    def first_success_is_read(self) -> bool:
        """Whether no run between the newest failure and the runs that were read may have succeeded before those."""
        is_mended = self._again == JobRun.Status.SUCCEEDED
        return is_mended or self.oldest_read is None or self.newest_failure.pk >= self.oldest_read.pk

    def has_all_since(self, moment: datetime) -> bool:
        """Whether every run that ended since then was read."""
        oldest = self.oldest_read
        return oldest is None or (oldest.finished_at is not None and oldest.finished_at < moment)

    @property
    def waits_for_retry(self) -> bool:
        """Whether the attempt that follows the latest failure by itself waits for its time."""
        return self._again == JobRun.Status.QUEUED

    @property
    def is_being_retried(self) -> bool:
        """Whether that attempt is running."""
        return self._again == JobRun.Status.RUNNING

    @property
    def _again(self) -> str | None:
        return vars(self.newest_failure).get("again_status")

    @property
    def retry_at(self) -> datetime | None:
        """When that attempt may start; None: at once."""
        return self._moment("again_at")

    @property
    def fine_since(self) -> datetime | None:
        """When the first run after the latest failure ended; None: none has."""
        newest = self.newest_failure.pk
        later = [run.finished_at for run in self.runs if run.pk > newest]
        return min((at for at in (*later, self._moment("again_finished_at")) if at), default=None)

    def _moment(self, name: str) -> datetime | None:
        at: datetime | None = vars(self.newest_failure).get(name)
        return at and at.replace(tzinfo=UTC)  # SQLite returns what is annotated without its zone

    @property
    def cause(self) -> str:
        """The message of the latest failure, as one line."""
        run = self.newest_failure
        reason = str(run.get_reason_display()) if run.reason else ""
        text = " ".join((run.error or run.message or reason).split())
        return text if len(text) <= CAUSE_LENGTH else f"{text[:CAUSE_LENGTH]}…"


class Groups(list[Group]):
    """Groups, the latest failure first; ``is_complete``: there are no others with a recent failure."""

    is_complete = True


def key_of(run: JobRun | Ended) -> Key:
    """Return the key of the run's group."""
    return run.job, json.dumps(run.params, sort_keys=True) if run.params else "{}"


def read_groups(runs: JobRunQuerySet, now: datetime) -> Groups:
    """Return the groups of these runs that have a recent failure, the latest failure first; two queries."""
    newest: dict[Key, JobRun] = {}
    lists = _failures(runs, now)
    for run in sorted(chain.from_iterable(lists), key=lambda one: -one.pk):
        if _is_recent(run, now):
            newest.setdefault(key_of(run), run)
    found = Groups()
    found.is_complete = len(newest) <= GROUPS_MAX and not any(_may_be_cut(one, now) for one in lists)
    if not newest:
        return found
    by_key: dict[Key, dict[int, Ended]] = {}
    chosen = dict(list(newest.items())[:GROUPS_MAX])
    later = _later(list(chosen.values()))
    oldest = _oldest_read(later)
    for ended in later:
        by_key.setdefault(key_of(ended), {})[ended.pk] = ended
    for key, run in chosen.items():
        of_key: dict[int, JobRun | Ended] = {run.pk: run, **by_key.get(key, {})}
        ordered = sorted(of_key.values(), key=lambda one: -one.pk)
        found.append(Group(run, ordered, oldest.get(run.job)))
    return found


def _oldest_read(later: Sequence[Ended]) -> dict[str, Ended]:
    """Return the oldest of the latest runs of each job that has more than were read."""
    by_job: dict[str, dict[int, Ended]] = {}
    for ended in later:
        by_job.setdefault(ended.job, {})[ended.pk] = ended
    # Those of schedules may be older, with others between them that were not read.
    return {
        job: of_job[sorted(of_job, reverse=True)[RUNS_MAX - 1]]
        for job, of_job in by_job.items()
        if len(of_job) >= RUNS_MAX
    }


def _failures(runs: JobRunQuerySet, now: datetime) -> list[list[JobRun]]:
    """Return the newest failures of each state, and those of the last slots of rare schedules."""
    # By the index of state and number, without a condition on time: that would read all failures ever stored.
    # The attempt that follows costs no query of its own, nor does whether the schedule has had a later slot.
    still_fires = Q(schedule__enabled=True) & (Q(schedule__expires=None) | Q(schedule__expires__gt=now))
    is_of_last_slot = still_fires & Q(schedule__control__last_slot_at__lte=F("scheduled_for"))
    real = runs.filter(dry_run=False).annotate(
        again_status=F("next_attempt__status"),
        again_at=F("next_attempt__not_before"),
        again_finished_at=F("next_attempt__finished_at"),
        is_of_last_slot=_flag(is_of_last_slot),
    )
    real = real.only(*_FIELDS, "reason", "error", "error_parts", "message", "message_parts")
    of_state = real.filter(status=Each("status")).order_by("-pk")[:FAILURES_MAX]
    parts: list[Any] = [bound(of_state, status=status) for status in FAILURES]
    return first_of_each(parts)


def _may_be_cut(read: Sequence[JobRun], now: datetime) -> bool:
    """Whether there may be recent failures beyond these: a full list whose last one is not too old to be listed.

    Runs by hand count too: they are listed for a shorter time than the failures of schedules that may follow them.
    """
    if len(read) < FAILURES_MAX:
        return False
    last: Any = min(read, key=lambda run: run.pk)
    return bool(last.is_of_last_slot or last.finished_at is None or last.finished_at >= now - WITHIN)


def _flag(condition: Q) -> Case:
    return Case(When(condition, then=True), default=False, output_field=BooleanField())


def _is_recent(run: Any, now: datetime) -> bool:
    within = WITHIN if run.schedule_id else BY_HAND_WITHIN
    return run.finished_at is not None and (run.is_of_last_slot or run.finished_at >= now - within)


def _later(failures: Sequence[JobRun]) -> list[Ended]:
    """Return the latest runs of the failed jobs, and of their schedules if a job has one for each bot."""
    ended = JobRun.objects.filter(dry_run=False, status__in=_ENDED).values_list(*Ended._fields)
    of_job = ended.filter(job=Each("job")).order_by("-pk")[:RUNS_MAX]
    parts = [bound(of_job, job=slug) for slug in dict.fromkeys(run.job for run in failures)]
    of_bots = {
        run.schedule_id
        for run in failures
        if run.schedule_id and is_known(run.job) and get_job(run.job).concurrent_by
    }
    slots = ended.filter(schedule=Each("schedule"), trigger=JobRun.Trigger.SCHEDULE)
    of_schedule = slots.order_by("-scheduled_for")[:RUNS_OF_A_SCHEDULE]
    parts += [bound(of_schedule, schedule=schedule) for schedule in sorted(of_bots)]
    return [Ended(*values) for values in values_of_each(parts)]
