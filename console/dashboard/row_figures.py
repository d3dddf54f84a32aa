"""The strip and the last run of each row of the Jobs table, cached until a newer run exists.

Each page reads only the newest few runs of each row; only rows in which these have changed are read and drawn again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from django.core.cache import caches
from django.db.models import QuerySet
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from database.slices import Bound, Each, bound, first_of_each
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

    def part(self, runs: "Runs") -> Bound[JobRun]:
        """Return its runs among these as a part of one query."""
        if self.schedule is None:
            return bound(runs.of_job, job=self.slug)
        return bound(runs.of_schedule, schedule=self.schedule)


class Runs:
    """The newest runs of any one job, or of one schedule, in the order of an index."""

    def __init__(self, runs: QuerySet[JobRun], number: int) -> None:
        self.of_job = runs.filter(job=Each("job")).order_by("-pk")[:number]
        slots = runs.filter(schedule=Each("schedule"), trigger=JobRun.Trigger.SCHEDULE)
        self.of_schedule = slots.order_by("-scheduled_for")[:number]


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
    runs = Runs(JobRun.objects.only("status"), VERSION_RUNS)
    found = first_of_each([subject.part(runs) for subject in subjects])
    return {subject: _version_of(newest) for subject, newest in zip(subjects, found, strict=True)}


def _version_of(newest: Sequence[JobRun]) -> str:
    """Return a version that changes whenever the content does: of the newest runs and their states."""
    return ".".join(f"{run.pk}{run.status}" for run in newest[:VERSION_RUNS])


def _make(subjects: Sequence[Subject], keys: Sequence[str]) -> dict[Subject, _Kept]:
    fields = JobRun.objects.only(*{*run_strip.FIELDS, *usual.FIELDS})
    latest, real = Runs(fields, run_strip.RUNS), Runs(fields.filter(dry_run=False), 1)
    samples = usual.recent().only(*{*run_strip.FIELDS, *usual.FIELDS})[: usual.RUNS_READ]
    parts = [subject.part(latest) for subject in subjects]
    parts += [subject.part(real) for subject in subjects]
    parts += [bound(samples, key=key) for key in keys]
    found = iter(first_of_each(parts))
    of_subjects = list(islice(found, len(subjects)))
    last = list(islice(found, len(subjects)))
    usual.remember(dict(zip(keys, found, strict=True)))
    return {
        subject: _Kept(_version_of(runs), _figures(subject, runs, newest))
        for subject, runs, newest in zip(subjects, of_subjects, last, strict=True)
    }


def _figures(subject: Subject, runs: Sequence[JobRun], last: Sequence[JobRun]) -> Figures:
    latest = sorted(runs, key=lambda run: run.pk)
    return Figures(last=next(iter(last), None), strip=run_strip.drawing(latest, subject.title))
