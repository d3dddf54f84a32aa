"""The strip of a job's latest runs: which runs, and where their bars stand in the drawing."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from maintenance.models import JobRun, Person

RUNS = 30
BAR_WIDTH, BAR_GAP, HEIGHT, MARK_SPACE = 6, 2, 30, 6
WIDTH = RUNS * (BAR_WIDTH + BAR_GAP)
HEIGHT_MIN = 3
# Durations span milliseconds to hours, so a bar's height is their logarithm: an hour fills it.
SECONDS_SHORTEST, SECONDS_LONGEST = 0.01, 3600.0
FIELDS = (
    "id",
    "job",
    "status",
    "trigger",
    "dry_run",
    "queued_at",
    "started_at",
    "finished_at",
    "attempt",
    "heartbeat_at",
)


@dataclass(frozen=True)
class Bar:
    """One run in the strip; x, y and height in the drawing's units."""

    run: JobRun
    x: int
    y: int
    height: int
    is_marked: bool  # a dot above: not started by the schedule

    @property
    def mark_x(self) -> int:
        """The middle of the bar."""
        return self.x + BAR_WIDTH // 2

    @property
    def mark_y(self) -> int:
        """Just above the bar."""
        return self.y - 4


def latest_runs(slugs: Iterable[str], user: Person) -> dict[str, list[JobRun]]:
    """Return the latest 30 runs of each job that the user may see, oldest first, in one query that reads only these rows."""
    visible = JobRun.objects.visible_to(user)
    runs: dict[str, list[JobRun]] = {slug: [] for slug in slugs}
    # SQLite takes no LIMIT inside a compound SELECT, but does inside an IN.
    # Only what is drawn: tracebacks are long.
    parts: list[QuerySet[JobRun]] = [
        JobRun.objects.filter(pk__in=visible.filter(job=slug).order_by("-pk").values("pk")[:RUNS])
        .order_by()
        .only(*FIELDS)
        for slug in runs
    ]
    if not parts:
        return runs
    for run in sorted(parts[0].union(*parts[1:], all=True), key=_pk):
        runs[run.job].append(run)
    return runs


def last_real_runs(slugs: Iterable[str]) -> dict[str, JobRun]:
    """Return the last run of each job, dry runs aside: they only looked."""
    parts = [
        JobRun.objects.filter(
            pk__in=JobRun.objects.filter(job=slug, dry_run=False).order_by("-pk").values("pk")[:1]
        )
        .order_by()
        .only(*FIELDS)
        for slug in dict.fromkeys(slugs)
    ]
    return {run.job: run for run in parts[0].union(*parts[1:], all=True)} if parts else {}


def _pk(run: JobRun) -> int:
    return run.pk


def bars(runs: Sequence[JobRun]) -> list[Bar]:
    """Return the bars of runs that are given oldest first; the newest stands at the right."""
    offset = RUNS - len(runs)
    return [_bar(run, (offset + index) * (BAR_WIDTH + BAR_GAP)) for index, run in enumerate(runs[-RUNS:])]


def _bar(run: JobRun, x: int) -> Bar:
    height = HEIGHT_MIN
    if run.duration is not None:
        seconds = min(max(run.duration.total_seconds(), SECONDS_SHORTEST), SECONDS_LONGEST)
        share = math.log(seconds / SECONDS_SHORTEST) / math.log(SECONDS_LONGEST / SECONDS_SHORTEST)
        height = round(HEIGHT_MIN + share * (HEIGHT - HEIGHT_MIN))
    return Bar(
        run=run,
        x=x,
        y=MARK_SPACE + HEIGHT - height,
        height=height,
        is_marked=run.trigger not in (JobRun.Trigger.SCHEDULE, JobRun.Trigger.RETRY),
    )


def context(runs: Sequence[JobRun], label: str) -> dict[str, Any]:
    """Return what ``maintenance/_strip.html`` needs."""
    return {"bars": bars(runs), "label": label}
