"""What all runs of a period came to. The sums of whole days are kept, so that long periods need not read each run.

The runs of a day are read once, after its end, as soon as none of them is open: a run with an end never changes again
(``statuses.FINAL``). But runs may be deleted later, by ``cleanup_run_history`` or by hand, or be added by an import. So
the rows of each day are counted whenever its sums are used, which needs only the index ``jobrun_queued_at``. If their
number is another than when the sums were made, these are made anew; only an import that puts as many runs into a past day
as were deleted from it would not be noticed. Kept days may be lost at any time.
"""

import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Final

from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from database import clock
from maintenance.ledger.run_sums import Sums, SumsByRow, added_up, sums_by_day
from maintenance.models import JobRun, RunsOfDay
from maintenance.models.run_queries import JobRunQuerySet

logger = logging.getLogger(__name__)

DAY: Final = timedelta(days=1)
# From a time until before a later one.
Span = tuple[datetime, datetime]


@dataclass
class _Day:
    """The sums of a whole day."""

    # The schedules that have rows of their own, if they had runs.
    schedules: set[int]
    sums: SumsByRow

    @property
    def is_final(self) -> bool:
        """Whether no run can change any more."""
        return not any(one.open for one in self.sums.values())

    def of(self, schedules: Collection[int]) -> SumsByRow:
        """Return the rows of jobs and of these schedules."""
        return {row: one for row, one in self.sums.items() if row[1] is None or row[1] in schedules}

    def as_text(self) -> str:
        """Return the stored form."""
        rows = [
            [*row, one.runs, one.failures, one.missed, one.took, one.counts] for row, one in self.sums.items()
        ]
        return json.dumps({"schedules": sorted(self.schedules), "rows": rows}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "_Day":
        """Read the stored form."""
        stored = json.loads(text)
        sums = {
            (job, schedule): Sums(runs, failures, missed, 0, took, Counter(counts))
            for job, schedule, runs, failures, missed, took, counts in stored["rows"]
        }
        return cls(set(stored["schedules"]), sums)


def sums_of_all(spans: Sequence[Span], schedules: Collection[int] = ()) -> list[SumsByRow]:
    """Return what all runs that were queued in each span came to, with rows for these schedules.

    Only the parts of days at both ends, and days that are not kept, are read run by run.
    """
    asked, now = set(schedules), clock.now()
    whole = [_whole_days(start, min(end, now)) for start, end in spans]
    sizes = _sizes(sorted(set().union(*whole)))
    stored = RunsOfDay.objects.filter(day__in=sizes)
    known = {row.day: _Day.from_text(row.sums) for row in stored if row.runs == sizes[row.day]}
    lacking = {day: one for day, one in known.items() if not asked <= one.schedules}
    _add_schedules(lacking, asked)
    made: dict[date, _Day] = {}
    found = []
    for (start, end), days in zip(spans, whole, strict=True):
        unread = _spans(start, end, but=[day for day in days if day in known or not sizes[day]])
        read = sums_by_day(_queued_in(unread), asked) if unread else {}
        made |= {day: _Day(asked, read.get(day, {})) for day in days if sizes[day] and day not in known}
        found.append(added_up([*(known[day].of(asked) for day in days if day in known), *read.values()]))
    _keep({**lacking, **{day: one for day, one in made.items() if one.is_final}}, sizes)
    return found


def _add_schedules(days: Mapping[date, _Day], asked: set[int]) -> None:
    """Add rows of schedules that nobody had asked for when these days were kept, such as those of new schedules."""
    if not days:
        return
    others = {key for one in days.values() for key in asked - one.schedules}
    of_slots = _queued_in([_span(day) for day in sorted(days)]).filter(
        trigger=JobRun.Trigger.SCHEDULE, schedule__in=others
    )
    found = sums_by_day(of_slots, others)
    for day, one in days.items():
        one.sums.update({row: sums for row, sums in found.get(day, {}).items() if row[1] is not None})
        one.schedules |= others


def _queued_in(spans: Sequence[Span]) -> JobRunQuerySet:
    """Return the real runs of these spans."""
    within = reduce(or_, (Q(queued_at__gte=start, queued_at__lt=end) for start, end in spans))
    return JobRun.objects.filter(within, dry_run=False).order_by()


def _span(day: date) -> Span:
    start = datetime.combine(day, time(), UTC)
    return start, start + DAY


def _whole_days(start: datetime, end: datetime) -> list[date]:
    """Return the days in UTC that lie between both times."""
    first = (start.astimezone(UTC) + DAY - timedelta(microseconds=1)).date()
    return [first + number * DAY for number in range((end.astimezone(UTC).date() - first).days)]


def _spans(start: datetime, end: datetime, *, but: Collection[date]) -> list[Span]:
    """Return what is left of the time from ``start`` to ``end`` without these days, which lie in it."""
    found: list[Span] = []
    for day in sorted(but):
        midnight, next_midnight = _span(day)
        if start < midnight:
            found.append((start, midnight))
        start = next_midnight
    return [*found, (start, end)] if start < end else found


def _sizes(days: Sequence[date]) -> dict[date, int]:
    """Return how many runs of each day there are, dry runs too: by one index, which a condition would have to leave."""
    if not days:
        return {}
    adapted = connection.ops.adapt_datetimefield_value
    params = [value for number, day in enumerate(days) for value in (number, *map(adapted, _span(day)))]
    rows = ", ".join(["(%s, %s, %s)"] * len(days))
    sql = (
        f"WITH span (number, start, finish) AS (VALUES {rows}) SELECT span.number, (SELECT COUNT(*)"  # noqa: S608  # placeholders
        " FROM maintenance_jobrun AS run WHERE run.queued_at >= span.start AND run.queued_at < span.finish) FROM span"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return {days[number]: size for number, size in cursor.fetchall()}


def _keep(days: Mapping[date, _Day], sizes: Mapping[date, int]) -> None:
    if not days:
        return
    rows = [RunsOfDay(day=day, runs=sizes[day], sums=one.as_text()) for day, one in sorted(days.items())]
    try:
        with transaction.atomic():
            RunsOfDay.objects.bulk_create(
                rows, update_conflicts=True, update_fields=["runs", "sums"], unique_fields=["day"]
            )
    except DatabaseError:
        # The figures are right without it: a full disk must not hide them.
        logger.warning("The sums of %s days of runs could not be stored.", len(rows), exc_info=True)
