"""What resuming does with the slots of a pause, as the pages say it, and as the scheduler does it."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.models import JobRun
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.reading import read
from tests.kit import factories
from tests.maintenance.admin.steps import LIST

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HALF = timedelta(minutes=30)
RESUME = "admin:maintenance_schedule_resume"


def stored(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def paused(task, **policies):
    PeriodicTask.objects.exclude(pk=task.pk).update(enabled=False)
    edits.set_policies(stored(task), {"catch_up_after_pause": True, **policies}, by=None)
    edits.pause(stored(task), by=None, reason="x")
    return task


def bulk(client, task, **fields):
    values = {"action": "resume_many", ACTION_CHECKBOX_NAME: [task.pk], "reason": "over", **fields}
    return client.post(reverse(LIST), values, follow=True)


@pytest.mark.parametrize("door", ["page of many", "page of one"])
@pytest.mark.parametrize(
    ("policies", "said", "number"),
    [
        ({"misfire_policy": "run_once"}, "catches up 1 slot of its pause", 1),
        ({"misfire_policy": "run_all", "misfire_limit": 3}, "catches up 3 slots of its pause", 3),
        ({"misfire_policy": "run_all", "catch_up_hours": 2}, "catches up 2 slots of its pause", 2),
        ({"misfire_policy": "skip"}, "", 0),
        ({"catch_up_after_pause": False}, "", 0),
    ],
)
def test_what_is_caught_up_is_said_and_done(client, superuser, scheduler, door, policies, said, number):
    with time_machine.travel(NOON, tick=False) as clock:
        task = paused(factories.schedule(crontab="0 * * * *"), **policies)
        clock.shift(5 * 2 * HALF + HALF)
        if door == "page of many":
            page = bulk(client, task)
            bulk(client, task, confirmed="1", seen=page.context["seen"])
        else:
            page = client.post(reverse(RESUME, args=[task.pk]), follow=True)
        clock.shift(1)
        scheduler.tick()

    text = page.content.decode()
    assert said in text if said else "catches up" not in text
    assert JobRun.objects.filter(schedule=task, status="queued").count() == number


@pytest.mark.parametrize("catches_up", [True, False])
def test_the_page_shows_the_next_run_of_an_interval_from_its_anchor(client, superuser, catches_up):
    with time_machine.travel(NOON, tick=False) as clock:
        interval = IntervalSchedule.objects.create(every=50, period="minutes")
        task = PeriodicTask.objects.create(name="One", task="maintenance.cleanup_tokens", interval=interval)
        paused(task, catch_up_after_pause=catches_up)
        clock.shift(2 * HALF)
        page = bulk(client, task)
        shown = page.context["outcomes"][0].later_reading.next_run_at
        bulk(client, task, confirmed="1", seen=page.context["seen"])

        assert shown == read(stored(task)).next_run_at
