"""The table of a comparison: what is beside what, the difference in words, and where the runs of a figure are listed."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import cached_property
from typing import Any, Final

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from adminkit.templatetags.display import duration, number
from database.messages import gettext
from maintenance.ledger.comparison import Figures, Period, figures_in, figures_of_all
from maintenance.ledger.run_sums import RAN, Row
from maintenance.models import JobRun, Person
from maintenance.models.statuses import FAILURES
from maintenance.registry import job_title, jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.job_schedules import schedules_of_jobs
from maintenance.yields.rows import rows_in
from scraping.content.spreadsheet_cells import BYTE_ORDER_MARK, spreadsheet_text

SEE_RUNS: Final = "maintenance.view_jobrun"
SEE_SCHEDULES: Final = "django_celery_beat.view_periodictask"
Value = int | timedelta | None


@dataclass(frozen=True)
class Column:
    """One figure of the table."""

    # In addresses and files.
    name: str
    title: Any
    value: Callable[[Figures], Value]
    # The runs that it counts, as parameters of the list of runs.
    runs: Mapping[str, str]
    # Whether more of it is worse; None: neither.
    is_worse: bool | None = None


USUAL: Final = {"status__exact": JobRun.Status.SUCCEEDED.value, "attempt__exact": "1"}
COLUMNS: Final = (
    Column("runs", pgettext_lazy("several", "Runs"), lambda one: one.runs, {"status__in": ",".join(RAN)}),
    Column("failures", _("Failures"), lambda one: one.failures, {"status__in": ",".join(FAILURES)}, True),
    Column(
        "missed",
        _("Missed slots"),
        lambda one: one.missed,
        {"status__exact": JobRun.Status.MISSED.value},
        True,
    ),
    Column("p50", _("Duration, p50"), lambda one: one.p50, USUAL, True),
    Column("p95", _("Duration, p95"), lambda one: one.p95, USUAL, True),
    Column(
        "rows", _("Rows deleted or stored"), lambda one: rows_in(one.counts), {"status__in": ",".join(RAN)}
    ),
)

# The runs of each figure as the end of an address.
_RUNS_OF: Final = {column.name: urlencode(column.runs) for column in COLUMNS}


@dataclass(frozen=True)
class Cell:
    """A figure before and after."""

    column: Column
    before: Value
    after: Value
    before_url: str
    after_url: str

    @cached_property
    def shown(self) -> tuple[str, str]:
        """Both as text."""
        return _text(self.before), _text(self.after)

    @cached_property
    def direction(self) -> str:
        """``up``, ``down``, ``same``, or nothing where a figure is missing: also the name of the shape."""
        if self.before is None or self.after is None:
            return ""
        if self.shown[0] == self.shown[1]:
            return "same"
        return "up" if self.after > self.before else "down"  # type: ignore[operator]  # both are of one type

    @cached_property
    def change(self) -> str:
        """The difference in words."""
        if not self.direction:
            return ""
        if self.direction == "same":
            return gettext("the same")
        is_more = self.direction == "up"
        if isinstance(self.before, timedelta) and isinstance(self.after, timedelta):
            time = duration(abs(self.after - self.before))
            return (gettext("%(time)s longer") if is_more else gettext("%(time)s shorter")) % {"time": time}
        count = abs(int(self.after) - int(self.before))  # type: ignore[arg-type]
        text = (
            ngettext("%(number)s more", "%(number)s more", count)
            if is_more
            else ngettext("%(number)s fewer", "%(number)s fewer", count)
        )
        return text % {"number": number(count)}

    @cached_property
    def judgement(self) -> str:
        """``worse`` or ``better``, for the colour; nothing where neither is."""
        if self.column.is_worse is None or self.direction not in ("up", "down"):
            return ""
        return "worse" if (self.direction == "up") is self.column.is_worse else "better"


@dataclass(frozen=True)
class ComparedRow:
    """A job, or one of its schedules, in both periods."""

    slug: str
    title: str
    # None: all runs of the job.
    schedule: int | None
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Comparison:
    """The whole table."""

    before: Period
    after: Period
    rows: Sequence[ComparedRow]
    # Some job has more schedules than are shown.
    has_more: bool

    @property
    def columns(self) -> Sequence[Column]:
        """The figures of each row."""
        return COLUMNS


def compare(before: Period, after: Period, *, user: Person, job: str = "") -> Comparison:
    """Compare the runs of two periods that the person may see; ``job``: only this one.

    Schedules have rows for those who may see schedules.
    """
    known = [one for one in jobs() if job in ("", one.slug)]
    found = schedules_of_jobs(known) if user.has_perm(SEE_SCHEDULES) else {}
    # A job with one schedule has no other runs by schedule.
    differing = {slug: some.others for slug, some in found.items() if len(some.all) > 1}
    keys = [task.pk for tasks in differing.values() for task in tasks]
    figures = _visible_figures((before, after), user, keys, job)
    listed: list[tuple[str, int | None, str]] = []
    for slug in _slugs([one.slug for one in known], figures, is_all=user.has_perm(SEE_RUNS)):
        listed.append((slug, None, job_title(slug)))
        listed += [(slug, task.pk, schedules.title(task)) for task in differing.get(slug, ())]
    rows = [
        ComparedRow(slug, title, key, _cells((slug, key), (before, after), figures))
        for slug, key, title in listed
    ]
    return Comparison(before, after, rows, any(some.has_more for some in found.values()))


def _visible_figures(
    periods: Sequence[Period], user: Person, schedules: Sequence[int], job: str
) -> list[dict[Row, Figures]]:
    """Return the figures of the runs that the person may see, for each period; ``job``: only of this one."""
    if user.has_perm(SEE_RUNS):
        each = figures_of_all(periods, schedules)
        return [{row: one for row, one in found.items() if job in ("", row[0])} for found in each]
    visible = JobRun.objects.visible_to(user)
    runs = visible.filter(job=job) if job else visible
    return [figures_in(period, runs, schedules) for period in periods]


def _slugs(known: list[str], figures: Sequence[Mapping[Row, Figures]], *, is_all: bool) -> list[str]:
    """Return the jobs of the table: those with runs, and for who sees all runs also those without."""
    with_runs = {slug for one in figures for slug, _schedule in one}
    gone = sorted(with_runs - set(known))
    return [slug for slug in known if is_all or slug in with_runs] + gone


def _cells(row: Row, periods: tuple[Period, Period], figures: Sequence[Mapping[Row, Figures]]) -> list[Cell]:
    before, after = (one.get(row, Figures()) for one in figures)
    addresses = [_runs_url(row, period) for period in periods]
    return [
        Cell(
            column,
            column.value(before),
            column.value(after),
            *(f"{address}&{_RUNS_OF[column.name]}" for address in addresses),
        )
        for column in COLUMNS
    ]


def _runs_url(row: Row, period: Period) -> str:
    """Return the address of the list of the runs of a row in a period, without those of the figure."""
    slug, schedule = row
    of_schedule: dict[str, str | int] = (
        {"schedule__exact": schedule, "trigger__exact": JobRun.Trigger.SCHEDULE.value} if schedule else {}
    )
    query: dict[str, str | int] = {
        "job": slug,
        **of_schedule,
        "dry_run__exact": "0",
        "queued_at__gte": period.start.astimezone(UTC).isoformat(),
        "queued_at__lt": period.end.astimezone(UTC).isoformat(),
    }
    return f"{reverse('admin:maintenance_jobrun_changelist')}?{urlencode(query)}"


def _text(value: Value) -> str:
    return duration(value) if isinstance(value, timedelta) else number(value)


def as_csv(found: Comparison) -> str:
    """Return the table as CSV with a byte order mark: durations in seconds, times in UTC, no cell a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = [f"{column.name}_{when}" for column in COLUMNS for when in ("before", "after", "difference")]
    writer.writerow(["job", "schedule", "before_from", "before_to", "after_from", "after_to", *names])
    moments = [found.before.start, found.before.end, found.after.start, found.after.end]
    for row in found.rows:
        name = spreadsheet_text(row.title)[0] if row.schedule else ""
        numbers = [number for cell in row.cells for number in _numbers(cell)]
        writer.writerow(
            [
                spreadsheet_text(row.slug)[0],
                name,
                *(at.astimezone(UTC).isoformat() for at in moments),
                *numbers,
            ]
        )
    return BYTE_ORDER_MARK + text.getvalue()


def _numbers(cell: Cell) -> list[float | str]:
    plain = [
        round(value.total_seconds(), 3) if isinstance(value, timedelta) else value
        for value in (cell.before, cell.after)
    ]
    before, after = plain
    difference = "" if before is None or after is None else round(after - before, 3)
    return [*("" if value is None else value for value in plain), difference]
