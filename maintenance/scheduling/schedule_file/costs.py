"""What a shorter retention of a plan would take: rows that the next run would delete in addition."""

from collections.abc import Iterator
from typing import Final

from django.utils import translation

from database.deadlines import TooSlow, within
from maintenance.models import RetentionPolicy
from maintenance.registry import get_job, is_known
from maintenance.retention import Retention, Rows, effect_on
from maintenance.retention import retention_of as stored_retention
from maintenance.scheduling.schedule_file.checking import retention_of
from maintenance.scheduling.schedule_file.entries import RETENTIONS, Entry
from maintenance.scheduling.schedule_file.planning import Plan

# Counting is given up after this time, for all retentions of the plan together.
SECONDS_MAX: Final = 60.0


@translation.override("en")
def lines(plan: Plan) -> list[str]:
    """Return a line for each retention by which the next run would delete more rows, in English."""
    return list(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    entries = [change.entry for change in plan.changes if change.entry.section == RETENTIONS]
    for entry in entries:
        before, after = _before(entry), retention_of(entry)
        if before is None or after.deletes_nothing_beyond(before):
            continue
        try:
            with within(SECONDS_MAX / len(entries)):
                more = effect_on(entry.key, before, after).more
        except TooSlow:
            yield f"{entry.key}: how many rows the next run would delete in addition takes too long to count."
            continue
        if more.total:
            yield f"{entry.key}: the next run would delete {more.total_text} more rows: {_by_table(more)}."


def _before(entry: Entry) -> Retention | None:
    """Return the retention that is in force; None: the job has none."""
    policy = RetentionPolicy.objects.filter(job=entry.key).first()
    if policy is not None:
        return stored_retention(policy)
    days = get_job(entry.key).retention_days if is_known(entry.key) else None
    return Retention(days) if days is not None else None


def _by_table(rows: Rows) -> str:
    return ", ".join(
        f"{number:,} {name}{' (estimated)' if name in rows.estimated else ''}"
        for name, number in rows.tables
        if number
    )
