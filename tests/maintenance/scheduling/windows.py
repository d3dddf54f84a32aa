"""Steps of the tests of planned windows."""

from datetime import UTC, datetime, timedelta

from django_celery_beat.models import PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import planned_windows, schedules
from maintenance.scheduling.planned_windows import Plan
from maintenance.scheduling.reading import read
from tests.kit import factories

NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)  # a Wednesday
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def plan(starts=NOON + HOUR, ends=NOON + 3 * HOUR, **options):
    return planned_windows.plan_window(
        Plan(starts, ends), **{"by": None, "reason": "restore test", **options}
    )


def weekly(weekday, begins, ends, zone="UTC", **options):
    times = Plan(weekdays=frozenset([weekday]), from_time=begins, to_time=ends, timezone=zone)
    return planned_windows.plan_window(times, **{"by": None, "reason": "backup", **options})


def schedule(crontab="*/30 * * * *", job="cleanup_tokens", **policies):
    task = factories.schedule(task=f"maintenance.{job}", crontab=crontab)
    if policies:
        ScheduleControl.objects.filter(pk=task.pk).update(**policies)
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def reread(task):
    return read(PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk))


def pass_time(clock, scheduler, until, step=MINUTE):
    """Tick each ``step``; every run that starts ends before the next tick."""
    while datetime.now(UTC) < until:
        clock.shift(step)
        scheduler._sweep_at = float("-inf")
        scheduler.tick()
        JobRun.objects.filter(status="queued").update(status="succeeded", finished_at=datetime.now(UTC))


def history(task):
    """Return what became of each slot, with when a run was made, as hours and minutes."""
    rows = JobRun.objects.filter(schedule=task).order_by("pk")
    return [
        f"{run.scheduled_for:%H:%M} {run.status}"
        + (f" at {run.queued_at:%H:%M}" if run.status == "succeeded" else f" {sum(run.counts.values())}")
        for run in rows
    ]
