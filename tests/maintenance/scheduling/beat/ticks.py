"""Steps that the tests of beat share: schedules in force, and ticks at a given time."""

from datetime import UTC, datetime

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import replanning
from maintenance.scheduling.timing import Timing
from tests.kit import factories

NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)


def schedule(crontab="* * * * *", job="cleanup_tokens", expires=None, **control):
    """A schedule in UTC, in force since now."""
    task = factories.schedule(crontab=crontab, task=f"maintenance.{job}", expires=expires)
    return in_force(task, **{"effective_from": timezone.now(), **control})


def in_force(task, **control):
    """Set these values of the schedule's control row, plan its next slot, and return the schedule."""
    ScheduleControl.objects.filter(pk=task.pk).update(**control)
    task = PeriodicTask.objects.get(pk=task.pk)
    replanning.plan_next(task.control, Timing.of(task))
    task.control.save()
    return task


def made(task):
    return [(run.scheduled_for, run.status) for run in JobRun.objects.filter(schedule=task).order_by("id")]


def look_everywhere(scheduler):
    """Make the next tick audit all schedules."""
    scheduler._sweep_at = scheduler._audit_at = float("-inf")


def finish_all():
    JobRun.objects.filter(status="queued").update(status="succeeded", finished_at=timezone.now())
