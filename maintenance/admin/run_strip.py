"""The strip of a job's latest runs: a small bar chart."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from adminkit.marks import PATHS
from adminkit.templatetags.display import duration, short_moment
from maintenance.models import JobRun, Person

RUNS = 30
BAR_WIDTH, BAR_GAP, HEIGHT, MARK_SPACE = 6, 2, 30, 6
WIDTH = RUNS * (BAR_WIDTH + BAR_GAP)
HEIGHT_MIN = 3
# Where the shapes of the states stand, below the bars.
SHAPES_AT, HEIGHT_WITH_SHAPES = MARK_SPACE + HEIGHT + 3, MARK_SPACE + HEIGHT + 11
# Durations range from milliseconds to hours, so a bar's height is their logarithm; an hour is the full height.
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
    """One run in the strip; x, y and height are in the drawing's units."""

    run: JobRun
    x: int
    y: int
    height: int
    is_marked: bool  # a dot above the bar: not started by the schedule

    @property
    def mark_x(self) -> int:
        """The middle of the bar."""
        return self.x + BAR_WIDTH // 2

    @property
    def mark_y(self) -> int:
        """The position just above the bar."""
        return self.y - 4


def latest_runs(slugs: Iterable[str], user: Person) -> dict[str, list[JobRun]]:
    """Return the latest 30 runs of each job that the user may see, oldest first, in one query that reads only these rows."""
    visible = JobRun.objects.visible_to(user)
    runs: dict[str, list[JobRun]] = {slug: [] for slug in slugs}
    # SQLite allows no LIMIT inside a compound SELECT, but does inside an IN.
    # Only the drawn columns: tracebacks are long.
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
    """Return the last run of each job, without dry runs, which change nothing."""
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
    """Return the bars of runs that are given oldest first; the newest is at the right."""
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


def drawing(runs: Sequence[JobRun], label: str) -> SafeString:
    """Return the strip as a drawing, each bar a link to its run; or the text that the job never ran.

    It is written as a string, because a template took as long as the rest of the dashboard. Ended runs do not change:
    their drawing is cached until the job runs again.
    """
    if not runs:
        return format_html('<span class="quiet-line">{}</span>', _("never run"))
    key = (label, get_language() or "", tuple((run.pk, run.status, run.dry_run) for run in runs))
    if any(not run.is_final for run in runs):
        return _drawn(runs, label)
    if key not in _kept:
        while len(_kept) >= KEPT_MAX:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = _drawn(runs, label)
    return _kept[key]


# A process caches the drawings of this many jobs and languages.
KEPT_MAX = 200
_kept: dict[tuple[Any, ...], SafeString] = {}


def _drawn(runs: Sequence[JobRun], label: str) -> SafeString:
    first_url = reverse("admin:maintenance_jobrun_change", args=[0])
    links = "".join(_link(bar, first_url, is_last=bar.run is runs[-1]) for bar in bars(runs))
    return mark_safe(  # noqa: S308  # escaped part by part
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT_WITH_SHAPES}" role="group"'
        f' aria-label="{escape(label)}" focusable="false">{links}</svg>'
    )


def _link(bar: Bar, first_url: str, *, is_last: bool) -> str:
    run = bar.run
    words = [
        f"#{run.pk}",
        capfirst(str(run.get_status_display())),
        short_moment(timezone.localtime(run.queued_at)),
        duration(run.duration),
        *([_("dry run")] if run.dry_run else []),
    ]
    mark = f'<circle cx="{bar.mark_x}" cy="{bar.mark_y}" r="1.7"/>' if bar.is_marked else ""
    mark += _shape(bar)
    return (
        f'<a href="{first_url.replace("/0/", f"/{run.pk}/")}"'
        f' class="bar-{run.status}{" bar-dry" if run.dry_run else ""}" tabindex="{0 if is_last else -1}">'
        f"<title>{escape(' · '.join(words))}</title>"
        f'<rect x="{bar.x}" y="{bar.y}" width="{BAR_WIDTH}" height="{bar.height}" rx="1"/>{mark}</a>'
    )


def _shape(bar: Bar) -> str:
    """Return the shape of the run's state, below its bar; none: it succeeded."""
    if bar.run.status == JobRun.Status.SUCCEEDED or bar.run.status not in PATHS:
        return ""
    place = f"translate({bar.x - 0.5} {SHAPES_AT}) scale(.58)"
    kind = f"bar-{bar.run.status}"
    return f'<path class="{kind}" transform="{place}" fill-rule="evenodd" d="{PATHS[bar.run.status]}"/>'


def outline(runs: Sequence[JobRun], url: str) -> SafeString:
    """Return the strip for a long list: one small drawing, which as a whole links to the job's runs."""
    if not runs:
        return drawing(runs, "")
    shapes: dict[str, str] = {}
    states = ""
    for bar in bars(runs):
        states += _shape(bar)
        kind = f"bar-{bar.run.status}{' bar-dry' if bar.run.dry_run else ''}"
        box = f"M{bar.x} {bar.y}h{BAR_WIDTH}v{bar.height}h-{BAR_WIDTH}z"
        shapes[kind] = shapes.get(kind, "") + box
    counts = Counter(run.status for run in runs)
    paths = "".join(f'<path class="{kind}" d="{shape}"/>' for kind, shape in shapes.items())
    return format_html(
        '<a href="{}" title="{}"><svg class="strip" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></a>',
        url,
        (
            said := " · ".join(
                f"{JobRun.Status(status).label}: {number}" for status, number in counts.most_common()
            )
        ),
        WIDTH,
        HEIGHT_WITH_SHAPES,
        said,
        mark_safe(paths + states),  # noqa: S308  # numbers and states
    )
