"""What is said of a schedule is what is known: of a pause whose end nobody has noticed, of a run that was deleted."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask

from maintenance.explanations import explain_schedule, explain_slot
from maintenance.models import JobRun
from maintenance.scheduling import edits, schedules
from tests.kit import factories
from tests.maintenance.admin.steps import LIST

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAGE = "admin:django_celery_beat_periodictask_change"


def stored(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def test_a_pause_that_ended_while_no_scheduler_was_alive_waits_for_one(client, superuser, scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        PeriodicTask.objects.update(enabled=False)
        task = factories.schedule(crontab="20 * * * *", name="Hourly")
        edits.pause(stored(task), by=None, reason="x", until=NOON + HOUR)
        clock.shift(2 * HOUR)
        for page in (reverse(LIST), reverse("admin:index"), reverse(PAGE, args=[task.pk])):
            text = client.get(page).content.decode()
            assert "the pause ended at Fri 11-27 13:00 UTC, it waits for the scheduler" in text
            assert "11-27 14:20 UTC" in text
        shown = client.get(reverse(PAGE, args=[task.pk])).content.decode()
        assert 'class="badge badge-queued"' in shown
        assert 'class="badge badge-paused"' not in shown
        assert ">Pause over<" in client.get(reverse(LIST)).content.decode()
        first = explain_schedule(stored(task))[0]
        assert (first.code, "Its pause ended at" in first.text) == ("paused", True)

        scheduler._sweep_at = float("-inf")
        scheduler.tick()
        assert "the pause ended at" not in client.get(reverse(LIST)).content.decode()
        assert stored(task).enabled


@pytest.mark.parametrize(
    ("policy", "code", "said"),
    [
        ("run_once", "fired_once", "did so"),
        ("skip", "history_deleted", "whether it did is no longer in the history"),
    ],
)
def test_a_one_off_without_its_row_is_said_to_have_run_only_if_it_has(scheduler, policy, code, said):
    with time_machine.travel(NOON, tick=False) as clock:
        once = ClockedSchedule.objects.create(clocked_time=NOON + HOUR)
        task = PeriodicTask.objects.create(
            name="once", task="maintenance.cleanup_tokens", clocked=once, one_off=True
        )
        edits.set_policies(stored(task), {"misfire_policy": policy}, by=None)
        clock.shift(2 * HOUR)
        scheduler.tick()
        JobRun.objects.filter(schedule=task).delete()
        first = explain_schedule(stored(task))[0]

    assert first.code == code
    assert said in first.text


def test_a_paused_interval_is_said_to_run_at_the_slots_after_its_pause():
    with time_machine.travel(NOON, tick=False):
        interval = IntervalSchedule.objects.create(every=50, period="minutes")
        task = PeriodicTask.objects.create(name="One", task="maintenance.cleanup_tokens", interval=interval)
        edits.pause(stored(task), by=None, reason="x", until=NOON + HOUR + timedelta(seconds=30))
        codes = [
            {cause.code for cause in explain_slot(stored(task), NOON + timedelta(minutes=minutes))}
            for minutes in (100, 110)
        ]

    assert "no_slot" in codes[0]
    assert "to_come" in codes[1]
