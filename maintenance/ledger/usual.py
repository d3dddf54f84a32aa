"""How long runs of one kind usually take: the median and the 95th percentile of the recent ones that succeeded.

Runs are of one kind if they share the concurrency key, which names the job and, for jobs that work for one bot at a time,
the bot; and if they have the same parameters. A dry run is of no kind: it deletes and stores nothing. Resumed attempts are
left out of the figures, because each took only a part of the time.

Whoever shows what is usual asks here: the page of a run, the dashboard, previews and alerts ask for a kind; the comparison
of two periods asks which of its runs count (``COUNTS``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.core.cache import caches
from django.db.models import Q, QuerySet

from database.percentiles import percentile
from database.slices import Each, bound, first_of_each
from maintenance.models import JobRun
from maintenance.registry import Job

# How many recent runs count, and how many are read to find so many with the same parameters.
RUNS_MAX: Final = 30
RUNS_READ: Final = 90
# Fewer say nothing about what is usual.
RUNS_MIN: Final = 3
# Which runs count.
COUNTS: Final = Q(status=JobRun.Status.SUCCEEDED, dry_run=False, attempt=1)
# A run takes far longer than usual from this many times the median on, if that is longer than the time.
FAR_TIMES: Final = 2
FAR_MIN: Final = timedelta(minutes=1)
KEPT_SECONDS: Final = 300
# What is read of each.
FIELDS: Final = ("status", "started_at", "finished_at", "heartbeat_at", "params")

# The key of a run, its parameters and its duration.
_Sample = list[tuple[int, dict[str, Any], timedelta]]


@dataclass(frozen=True)
class Usual:
    """The usual duration of one kind of runs."""

    p50: timedelta
    p95: timedelta

    def is_exceeded_by(self, taken: timedelta | None) -> bool:
        """Whether so long a run is among the longest 5 in 100."""
        return taken is not None and taken > self.p95

    def is_far_exceeded_by(self, taken: timedelta | None) -> bool:
        """Whether so long a run needs a look: twice the median, and a minute at least."""
        return taken is not None and taken > max(FAR_TIMES * self.p50, FAR_MIN)


@dataclass(frozen=True)
class Kind:
    """What runs of one kind share."""

    key: str
    params: Mapping[str, Any]


def kind_of(job: Job | None, params: Mapping[str, Any]) -> Kind | None:
    """Return the kind of a job's real runs with these parameters; None: there are none such."""
    try:
        return Kind(job.concurrency_key(params), params) if job else None
    except KeyError:  # a parameter that the key needs is missing
        return None


def usual_of(run: JobRun) -> Usual | None:
    """Return what is usual for the kind of a run, without the run itself; None: too few are known."""
    return usual_of_each([run]).get(run.pk)


def usual_of_each(runs: Sequence[JobRun]) -> dict[int, Usual]:
    """Return what is usual for each of the runs, by their keys, with one query; those of which too few are known are missing."""
    samples = _samples({run.concurrency_key for run in runs if not run.dry_run} - {""})
    found: dict[int, Usual] = {}
    for run in runs:
        sample = samples.get(run.concurrency_key, []) if not run.dry_run else []
        if usual := _usual(sample, run.params, but=run.pk):
            found[run.pk] = usual
    return found


def usual_of_kinds(kinds: Sequence[Kind | None]) -> list[Usual | None]:
    """Return what is usual for each kind, with one query; None: too few runs of it are known."""
    samples = _samples({kind.key for kind in kinds if kind} - {""})
    return [_usual(samples.get(kind.key, []), kind.params) if kind else None for kind in kinds]


def _usual(sample: _Sample, params: Mapping[str, Any], *, but: int | None = None) -> Usual | None:
    times = [taken for pk, theirs, taken in sample if pk != but and theirs == params][:RUNS_MAX]
    if len(times) < RUNS_MIN:
        return None
    ordered = sorted(times)
    return Usual(percentile(ordered, 0.5), percentile(ordered, 0.95))


def _samples(keys: set[str]) -> dict[str, _Sample]:
    """Return the recent runs of each concurrency key, newest first; each is read again after five minutes."""
    kept = _kept(keys)
    stale = sorted(keys - kept.keys())
    if not stale:
        return kept
    runs = recent().only(*FIELDS)[:RUNS_READ]
    found = first_of_each([bound(runs, key=key) for key in stale])
    return {**kept, **remember(dict(zip(stale, found, strict=True)))}


def _kept(keys: set[str]) -> dict[str, _Sample]:
    names = caches["process"].get_many(f"usual:{key}" for key in keys) if keys else {}
    return {name.removeprefix("usual:"): sample for name, sample in names.items()}


def unread(kinds: Sequence[Kind | None]) -> list[str]:
    """Return the keys whose runs must be read, for a caller that reads them together with others (``recent``)."""
    keys = {kind.key for kind in kinds if kind} - {""}
    return sorted(keys - _kept(keys).keys())


def recent() -> QuerySet[JobRun]:
    """Return the runs of ``Each("key")`` that count, newest first; the first ``RUNS_READ`` are needed."""
    return JobRun.objects.filter(COUNTS, concurrency_key=Each("key")).order_by("-pk")


def remember(found: Mapping[str, Sequence[JobRun]]) -> dict[str, _Sample]:
    """Keep the runs of each key that were read, with ``FIELDS``, for five minutes."""
    made = {
        key: [(run.pk, run.params, run.duration) for run in runs if run.duration is not None]
        for key, runs in found.items()
    }
    caches["process"].set_many({f"usual:{key}": sample for key, sample in made.items()}, KEPT_SECONDS)
    return made
