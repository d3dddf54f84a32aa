"""The recorded slots of a schedule."""

from datetime import UTC, datetime

from maintenance.models import JobRun

NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)


def rows(task):
    return [
        (run.status, run.reason, run.scheduled_for, run.counts)
        for run in JobRun.objects.filter(schedule=task).order_by("scheduled_for")
    ]
