"""Many schedules that are resumed together after a long pause."""

from datetime import timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from database import clock
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import firetimes, many_edits, slots
from tests.kit import factories

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def resume(keys):
    return many_edits.resume_many(keys, by=None, reason="x", refuse=lambda task: "")


@pytest.fixture
def paused():
    """Schedules of every minute, paused for more than a week, each at another moment."""
    tasks = [factories.schedule(crontab="* * * * *", timezone_name="Europe/Berlin") for _ in range(10)]
    keys = [task.pk for task in tasks]
    many_edits.pause_many(keys, by=None, reason="x", until=None, refuse=lambda task: "")
    for number, key in enumerate(keys):
        since = clock.now() - WEEK - timedelta(hours=number)
        ScheduleControl.objects.filter(pk=key).update(effective_from=since, paused_at=since)
    return keys


def test_the_slots_of_schedules_that_are_alike_are_computed_once(paused, monkeypatch):
    computed = 0

    def counting(*args, **options):
        nonlocal computed
        for time in plain(*args, **options):
            computed += 1
            yield time

    plain = firetimes.fire_times
    monkeypatch.setattr(firetimes, "fire_times", counting)
    assert resume(paused).changed == 10

    assert computed < 2 * slots.LOOK_BACK_SLOTS
    rows = JobRun.objects.filter(schedule__in=paused).values_list("counts", flat=True)
    assert list(rows) == [{"slots_skipped": slots.LOOK_BACK_SLOTS}] * 10
    assert PeriodicTask.objects.filter(pk__in=paused, enabled=True).count() == 10
