"""Rows about what the runs of schedules usually do, and histories of runs to learn it from."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from maintenance.models import JobRun, RowsVerdict, UsualRows
from tests.kit import factories


def usual_rows(**fields: Any) -> UsualRows:
    """What is usual in the hour of the week from Monday 0:00 UTC: 10,000 rows, give or take a fifth."""
    spread = {"spread_low": 0.1, "spread_high": 0.1}
    values = {"hour_of_week": 0, "runs": 12, "expected": 10_000, **spread, "runs_a_month": 28, **fields}
    values["schedule"] = values.get("schedule") or factories.schedule()
    return UsualRows.objects.create(**values)


def rows_verdict(**fields: Any) -> RowsVerdict:
    now = timezone.now()
    values = {"kind": "nothing", "since": now, "slot": now, "rows": 0, "low": 7_900, "high": 12_100, **fields}
    values["schedule"] = values.get("schedule") or factories.schedule()
    return RowsVerdict.objects.create(**values)


def store_runs(task: PeriodicTask, slots: Iterable[tuple[datetime, int]], **fields: Any) -> list[JobRun]:
    """Store runs of a schedule that succeeded, each with its slot and the rows that it deleted."""
    values = {"job": "cleanup_tokens", "status": "succeeded", "trigger": "schedule", **fields}
    return JobRun.objects.bulk_create(
        JobRun(
            schedule=task,
            scheduled_for=slot,
            finished_at=slot + timedelta(minutes=1),
            counts={"accounts.ApiToken": rows},
            **values,
        )
        for slot, rows in slots
    )
