"""The strip and the usual durations of each row of the Jobs table, cached until a newer run exists.

Each page reads only the newest few runs of each row; only rows in which these have changed are read and drawn again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.core.cache import caches
from django.db.models import IntegerField, QuerySet, Value
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from database.slices import first_of_each
from maintenance.admin import run_strip
from maintenance.models import JobRun

# How many runs the usual duration is computed from; a single one would be chance.
USUAL_RUNS, USUAL_RUNS_MIN = 50, 2
KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Subject:
    """A job, or one of its schedules, whose runs a row shows."""

    slug: str
    title: str
    schedule: int | None = None  # a key

    @property
    def key(self) -> str:
        """A name for the cache."""
        return f"{self.slug}:{self.schedule or ''}"

    def runs(self) -> QuerySet[JobRun]:
        """Return its runs, newest first, in the order of an index."""
        if self.schedule is None:
            return JobRun.objects.filter(job=self.slug).order_by("-pk")
        slots = JobRun.objects.filter(schedule=self.schedule, trigger=JobRun.Trigger.SCHEDULE)
        return slots.order_by("-scheduled_for")


@dataclass(frozen=True)
class Figures:
    """What a row shows about its runs."""

    # The last run that was not a dry run.
    last: JobRun | None
    strip: SafeString
    p50: timedelta | None
    p95: timedelta | None


def figures_of(subjects: Sequence[Subject]) -> dict[Subject, Figures]:
    """Return the figures of each subject, with two queries if something is new, otherwise one."""
    versions = _versions(subjects)
    cache, language = caches["process"], get_language()
    names = {subject: f"row:{subject.key}:{language}:{versions[subject]}" for subject in subjects}
    kept = cache.get_many(names.values())
    stale = [subject for subject in subjects if names[subject] not in kept]
    made = _make(stale)
    cache.set_many({names[subject]: figures for subject, figures in made.items()}, KEPT_SECONDS)
    return {subject: made.get(subject) or kept[names[subject]] for subject in subjects}


def _versions(subjects: Sequence[Subject]) -> dict[Subject, str]:
    """Return a version that changes whenever a row's content does: its newest runs and their states."""
    found: dict[Subject, list[str]] = {subject: [] for subject in subjects}
    parts = [_of_part(subject.runs().only("status"), part)[:3] for part, subject in enumerate(subjects)]
    for run in first_of_each(parts):
        found[subjects[run.part]].append(f"{run.pk}{run.status}")  # type: ignore[attr-defined]
    return {subject: ".".join(states) for subject, states in found.items()}


def _of_part(runs: QuerySet[JobRun], part: int) -> QuerySet[JobRun]:
    marked: QuerySet[JobRun] = runs.annotate(part=Value(part, IntegerField()))
    return marked


def _make(subjects: Sequence[Subject]) -> dict[Subject, Figures]:
    parts = []
    for part, subject in enumerate(subjects):
        runs = subject.runs().only(*run_strip.FIELDS)
        done = runs.filter(status=JobRun.Status.SUCCEEDED, dry_run=False)
        parts += [
            _of_part(runs, 3 * part)[: run_strip.RUNS],
            _of_part(runs.filter(dry_run=False), 3 * part + 1)[:1],
            _of_part(done, 3 * part + 2)[:USUAL_RUNS],
        ]
    found: dict[int, list[JobRun]] = {}
    for run in first_of_each(parts):
        found.setdefault(run.part, []).append(run)  # type: ignore[attr-defined]
    return {subject: _figures(subject, found, 3 * part) for part, subject in enumerate(subjects)}


def _figures(subject: Subject, found: Mapping[int, list[JobRun]], part: int) -> Figures:
    latest = sorted(found.get(part, []), key=lambda run: run.pk)
    times = sorted(run.duration for run in found.get(part + 2, []) if run.duration is not None)
    return Figures(
        last=next(iter(found.get(part + 1, [])), None),
        strip=run_strip.drawing(latest, subject.title),
        p50=quantile(times, 0.5),
        p95=quantile(times, 0.95),
    )


def quantile(times: Sequence[timedelta], share: float) -> timedelta | None:
    """Return the duration within which this share of the (sorted) runs ends; None for too few."""
    if len(times) < USUAL_RUNS_MIN:
        return None
    return times[min(len(times) - 1, int(share * len(times)))]
