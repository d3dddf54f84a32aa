"""The strip and the last run of each row of the Jobs table, cached until a newer run exists.

Each page reads only the newest few runs of each row; only rows in which these have changed are read and drawn again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.core.cache import caches
from django.db.models import IntegerField, QuerySet, Value
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from database.slices import first_of_each
from maintenance.admin import run_strip
from maintenance.ledger import usual
from maintenance.ledger.usual import Kind, unread
from maintenance.models import JobRun

VERSION_RUNS = 3
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


@dataclass(frozen=True)
class _Kept:
    version: str
    figures: Figures


def figures_of(subjects: Sequence[Subject], kinds: Sequence[Kind | None] = ()) -> dict[Subject, Figures]:
    """Return the figures of each subject: with one query if nothing or everything is new, otherwise with two.

    ``kinds``: what is usual for them will be asked next (``usual_of_kinds``): where it must be read, the same query does.
    """
    cache, language = caches["process"], get_language()
    names = {subject: f"row:{subject.key}:{language}" for subject in subjects}
    kept: dict[str, _Kept] = cache.get_many(names.values())
    versions = _versions(subjects) if kept else {}
    stale = [one for one in subjects if names[one] not in kept or kept[names[one]].version != versions[one]]
    made = _make(stale, unread(kinds)) if stale else {}
    cache.set_many({names[subject]: one for subject, one in made.items()}, KEPT_SECONDS)
    return {subject: (made.get(subject) or kept[names[subject]]).figures for subject in subjects}


def _versions(subjects: Sequence[Subject]) -> dict[Subject, str]:
    """Return the version of what each subject shows."""
    found: dict[Subject, list[JobRun]] = {subject: [] for subject in subjects}
    parts = [
        _of_part(subject.runs().only("status"), part)[:VERSION_RUNS] for part, subject in enumerate(subjects)
    ]
    for run in first_of_each(parts):
        found[subjects[run.part]].append(run)  # type: ignore[attr-defined]
    return {subject: _version_of(newest) for subject, newest in found.items()}


def _version_of(newest: Sequence[JobRun]) -> str:
    """Return a version that changes whenever the content does: of the newest runs and their states."""
    return ".".join(f"{run.pk}{run.status}" for run in newest[:VERSION_RUNS])


def _of_part(runs: QuerySet[JobRun], part: int) -> QuerySet[JobRun]:
    marked: QuerySet[JobRun] = runs.annotate(part=Value(part, IntegerField()))
    return marked


def _make(subjects: Sequence[Subject], keys: Sequence[str]) -> dict[Subject, _Kept]:
    parts, fields = [], {*run_strip.FIELDS, *usual.FIELDS}
    for part, subject in enumerate(subjects):
        runs = subject.runs().only(*fields)
        parts += [
            _of_part(runs, 2 * part)[: run_strip.RUNS],
            _of_part(runs.filter(dry_run=False), 2 * part + 1)[:1],
        ]
    first = 2 * len(subjects)
    parts += [
        _of_part(usual.recent(key).only(*fields), first + part)[: usual.RUNS_READ]
        for part, key in enumerate(keys)
    ]
    found: dict[int, list[JobRun]] = {}
    for run in first_of_each(parts):
        found.setdefault(run.part, []).append(run)  # type: ignore[attr-defined]
    usual.remember({key: found.get(first + part, []) for part, key in enumerate(keys)})
    return {
        subject: _Kept(_version_of(found.get(2 * part, [])), _figures(subject, found, 2 * part))
        for part, subject in enumerate(subjects)
    }


def _figures(subject: Subject, found: Mapping[int, list[JobRun]], part: int) -> Figures:
    latest = sorted(found.get(part, []), key=lambda run: run.pk)
    return Figures(
        last=next(iter(found.get(part + 1, [])), None),
        strip=run_strip.drawing(latest, subject.title),
    )
