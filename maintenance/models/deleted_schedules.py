"""Runs of schedules that are no more."""

from collections.abc import Callable

from django_celery_beat.models import PeriodicTask

from maintenance.models.runs import JobRun

# Runs of one statement: none waits long for such a row.
RUNS = 1_000


def forget_deleted_schedules(*, between: Callable[[], None]) -> int:
    """Set the key of a deleted schedule to null in the runs that keep it, batch by batch; return in how many.

    Args:
        between: called between two batches.
    """
    keys = JobRun.objects.filter(schedule__isnull=False).order_by().values_list("schedule_id", flat=True)
    gone = set(keys.distinct()) - set(PeriodicTask.objects.values_list("pk", flat=True))
    forgotten = 0
    for key in sorted(gone):
        while batch := list(
            JobRun.objects.filter(schedule_id=key).order_by().values_list("pk", flat=True)[:RUNS]
        ):
            forgotten += JobRun.objects.filter(pk__in=batch).update(schedule=None)
            between()
    return forgotten
