"""A schedule whose job was removed fires for a while: every slot has a row that says why nothing was done."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from tests.chaos.services import beat
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

FULL = os.environ.get("CHAOS") == "full"
SLOTS = 54 if FULL else 5


def test_no_slot_of_a_removed_job_is_without_a_row():
    PeriodicTask.objects.all().delete()
    every = IntervalSchedule.objects.create(every=1, period="seconds")
    start = timezone.now()
    task = PeriodicTask.objects.create(
        name="gone", task="maintenance.removed", interval=every, start_time=start
    )
    last = start + timedelta(seconds=SLOTS)
    with beat():
        wait_until(
            lambda: ScheduleControl.objects.filter(pk=task.pk, next_slot_at__gt=last).exists(),
            timeout=60 + 2 * SLOTS,
        )

    rows = JobRun.objects.filter(schedule=task, scheduled_for__lte=last).order_by("scheduled_for")
    assert [run.scheduled_for for run in rows] == [start + n * timedelta(seconds=1) for n in range(SLOTS + 1)]
    assert {(run.status, run.reason) for run in rows} == {("failed", "unknown_job")}
