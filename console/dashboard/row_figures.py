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
from maintenance.models.chain import last_attempts
from maintenance.models.statuses import FAILURES

VERSION_RUNS = 3
# After such an end there may be another attempt.
GOES_ON = (JobRun.Status.INTERRUPTED, *FAILURES)
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

    # The last run that was not a dry run, in its last attempt.
    last: JobRun | None
    strip: SafeString


@dataclass(frozen=True)
class _Kept:
    version: str
    figures: Figures
    # A run that is not part of the version may still change.
    is_open: bool


def figures_of(subjects: Sequence[Subject], kinds: Sequence[Kind | None] = ()) -> dict[Subject, Figures]:
    """Return the figures of each subject: with one query if nothing or everything is new, otherwise with two.

    ``kinds``: what is usual for them will be asked next (``usual_of_kinds``): where it must be read, the same query does.
    """
    cache, language = caches["process"], get_language()
    names = {subject: f"row:{subject.key}:{language}" for subject in subjects}
    kept: dict[str, _Kept] = cache.get_many(names.values())
    versions = _versions(subjects) if kept else {}
    stale = [one for one in subjects if _is_stale(kept.get(names[one]), versions.get(one))]
    made = _make(stale, unread(kinds)) if stale else {}
    cache.set_many({names[subject]: one for subject, one in made.items()}, KEPT_SECONDS)
    return {subject: (made.get(subject) or kept[names[subject]]).figures for subject in subjects}


def _is_stale(kept: _Kept | None, version: str | None) -> bool:
    return kept is None or kept.is_open or kept.version != version


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
    # The runs of a schedule are those of its slots; the other attempts are found by these.
    ended = [
        run
        for subject, newest in zip(subjects, last, strict=True)
        for run in newest
        if subject.schedule is not None and run.status in GOES_ON
    ]
    attempts = last_attempts(ended, *run_strip.FIELDS, *usual.FIELDS)
    return {
        subject: _kept(subject, runs, [attempts.get(run.pk, run) for run in newest])
        for subject, runs, newest in zip(subjects, of_subjects, last, strict=True)
    }


def _kept(subject: Subject, runs: Sequence[JobRun], last: Sequence[JobRun]) -> _Kept:
    latest = sorted(runs, key=lambda run: run.pk)
    figures = Figures(last=next(iter(last), None), strip=run_strip.drawing(latest, subject.title))
    versioned = {run.pk for run in runs[:VERSION_RUNS]}
    is_open = any(not run.is_final for run in [*runs, *last] if run.pk not in versioned)
    return _Kept(_version_of(runs), figures, is_open)
