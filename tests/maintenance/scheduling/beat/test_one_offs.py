"""Beat and schedules that fire once."""

from datetime import timedelta

import pytest
import time_machine
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from maintenance.scheduling import edits, maintenance_mode
from tests.kit import factories
from tests.maintenance.scheduling.beat.ticks import NOON, finish_all, made, schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_a_one_off_schedule_fires_once(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        clocked = ClockedSchedule.objects.create(clocked_time=NOON + timedelta(minutes=1))
        task = PeriodicTask.objects.create(
            name="once", task="maintenance.cleanup_tokens", clocked=clocked, one_off=True
        )
        for _ in range(3):
            clock.shift(60)
            scheduler.tick()
            finish_all()

        task.refresh_from_db()
        assert len(made(task)) == 1
        assert not task.enabled


@pytest.mark.slow
def test_a_one_off_crontab_fires_once_and_again_only_when_it_is_enabled_again(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        PeriodicTask.objects.filter(pk=task.pk).update(one_off=True)
        for _ in range(4):
            clock.shift(10)
            scheduler.tick()
            clock.shift(50)
            scheduler.tick()
            finish_all()
        assert len(made(task)) == 1

        edits.resume(PeriodicTask.objects.get(pk=task.pk), by=None)
        scheduler.tick()
        assert len(made(task)) == 1
        clock.shift(60)
        scheduler.tick()
        assert len(made(task)) == 2


def test_a_one_off_leaves_one_row_for_all_it_missed(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule(misfire_policy="run_once")
        PeriodicTask.objects.filter(pk=task.pk).update(one_off=True)
        clock.shift(timedelta(hours=1))
        scheduler.tick()
        scheduler.tick()

        assert sorted(status for _, status in made(task)) == ["missed", "queued"]


def one_off(moment):
    clocked = ClockedSchedule.objects.create(clocked_time=moment)
    return PeriodicTask.objects.create(
        name="once", task="maintenance.cleanup_tokens", clocked=clocked, one_off=True
    )


@pytest.mark.slow
def test_a_one_off_waits_behind_an_earlier_run_instead_of_being_used_up(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        factories.job_run(status="running", concurrency_key="cleanup_tokens")
        task = one_off(NOON + timedelta(seconds=30))
        clock.shift(60)
        scheduler.tick()

        assert made(task) == [(NOON + timedelta(seconds=30), "queued")]
        task.refresh_from_db()
        assert (task.enabled, task.total_run_count) == (False, 1)


@pytest.mark.slow
def test_a_one_off_runs_after_maintenance_mode(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = one_off(NOON + timedelta(minutes=5))
        maintenance_mode.start(by=None, reason="deploy")
        clock.shift(600)
        scheduler.tick()
        assert made(task) == []
        maintenance_mode.end(by=None)
        scheduler.tick()

        assert made(task) == [(NOON + timedelta(minutes=5), "queued")]


@pytest.mark.slow
def test_a_one_off_that_failed_at_once_has_not_run(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        PeriodicTask.objects.filter(pk=task.pk).update(one_off=True, kwargs='{"no": 1}')
        clock.shift(60)
        scheduler.tick()
        PeriodicTask.objects.filter(pk=task.pk).update(kwargs="{}")
        clock.shift(60)
        scheduler.tick()

        assert [status for _, status in made(task)] == ["failed", "queued"]
        task.refresh_from_db()
        assert (task.enabled, task.total_run_count) == (False, 1)
