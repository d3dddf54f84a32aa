"""A tick of beat: one run per slot, in spite of broker failures, edits, pauses and overlaps."""

from datetime import timedelta

import pytest
import time_machine
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from console.celery import app
from maintenance.models import JobRun
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from maintenance.scheduling.firetimes import Crontab
from tests.kit import factories
from tests.maintenance.scheduling.beat.ticks import NOON, finish_all, in_force, made, schedule

pytestmark = pytest.mark.django_db(transaction=True)


def daily_at_three():
    """A schedule in force since yesterday, with today's slot recorded: at another hour, a slot would be due."""
    yesterday = NOON - timedelta(days=1)
    return schedule("0 3 * * *", effective_from=yesterday, last_slot_at=NOON.replace(hour=3))


def test_a_slot_makes_one_run_however_often_beat_ticks(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        assert made(task) == []
        clock.shift(61)
        scheduler.tick()
        scheduler.tick()

        assert made(task) == [(NOON + timedelta(minutes=1), "queued")]


def test_a_tick_sends_the_message_after_the_row(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()

        run = JobRun.objects.get(schedule=task)
        assert (run.trigger, run.schedule_name) == ("schedule", task.name)
        assert run.sent_at is not None


def test_a_slot_survives_a_broker_that_is_away(scheduler, no_broker):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()

        assert JobRun.objects.get(schedule=task).sent_at is None


@pytest.mark.slow
def test_a_replayed_tick_after_a_crash_makes_no_second_run(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()
        in_force(task, last_slot_at=None)  # as if the write had been lost
        scheduler.close()
        again = LeasedDatabaseScheduler(app=app, lazy=True)
        again.tick()
        again.close()

        assert len(made(task)) == 1


@pytest.mark.slow
def test_an_edit_is_seen_at_the_next_tick_and_owes_no_past_slot(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = daily_at_three()
        scheduler.tick()
        clock.shift(1)
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")
        scheduler.tick()
        assert made(task) == []

        clock.move_to(NOON.replace(hour=9) + timedelta(days=1, seconds=1))
        scheduler.tick()
        assert [slot for slot, _ in made(task)] == [NOON.replace(hour=9) + timedelta(days=1)]


@pytest.mark.slow
def test_an_edit_made_while_no_beat_ran_owes_no_past_slot(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = daily_at_three()
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")
        clock.shift(3600)
        scheduler.tick()

        assert made(task) == []


def test_an_update_behind_our_back_is_found_and_owes_no_past_slot(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = daily_at_three()
        nine = factories.schedule(crontab="0 9 * * *").crontab
        PeriodicTask.objects.filter(pk=task.pk).update(crontab=nine)
        clock.shift(60)
        scheduler.tick()

        assert made(task) == []


@pytest.mark.slow
def test_a_paused_schedule_does_not_fire_and_resuming_does_not_catch_up(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        edits.pause(task, by=None, reason="migration")
        clock.shift(3600)
        scheduler.tick()
        edits.resume(task, by=None)
        scheduler.tick()
        assert made(task) == [(NOON + timedelta(hours=1), "skipped")]
        summary = JobRun.objects.get(schedule=task)
        assert (summary.reason, summary.counts) == ("paused", {"slots_skipped": 60})
        assert "60 slots passed during a pause (migration)" in summary.message

        clock.shift(60)
        scheduler.tick()
        assert made(task)[1:] == [(NOON + timedelta(minutes=61), "queued")]


def test_a_pause_ends_by_itself(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        edits.pause(task, by=None, reason="lunch", until=NOON + timedelta(minutes=30))
        clock.shift(1801)
        scheduler.tick()
        task.refresh_from_db()
        assert task.enabled
        assert schedules.control_of(PeriodicTask.objects.get(pk=task.pk)).pause_reason == ""


def test_overlap_skips_the_slot_while_the_earlier_run_is_open(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        for _ in range(3):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(task)] == ["queued", "skipped", "skipped"]
        assert JobRun.objects.filter(status="skipped").first().reason == "overlap"


@pytest.mark.slow
def test_overlap_queues_one(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule(overlap_policy="queue_one")
        clock.shift(60)
        scheduler.tick()
        JobRun.objects.get(schedule=task).claim(worker="w")
        for _ in range(2):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(task)] == ["running", "queued", "skipped"]


def test_arguments_that_cannot_be_used_fail_the_run_and_stop_no_other(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        broken, good = schedule(job="purge_old_content"), schedule()
        PeriodicTask.objects.filter(pk=broken.pk).update(kwargs='{"days": "many"}')
        clock.shift(60)
        scheduler.tick()

        assert [status for _, status in made(broken)] == ["failed"]
        assert "days" in JobRun.objects.get(schedule=broken).error
        assert [status for _, status in made(good)] == ["queued"]


def test_a_blocked_run_is_not_in_the_way_of_the_next_slot(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        factories.job_run(status="blocked", concurrency_key="cleanup_tokens")
        clock.shift(60)
        scheduler.tick()

        assert [status for _, status in made(task)] == ["queued"]


@pytest.mark.slow
def test_an_interval_keeps_its_phase(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        interval = IntervalSchedule.objects.create(every=10, period="seconds")
        task = PeriodicTask.objects.create(name="often", task="maintenance.cleanup_tokens", interval=interval)
        scheduler.tick()
        for seconds in (12, 7, 11):
            clock.shift(seconds)
            scheduler.tick()
            finish_all()

        assert [(slot - NOON).total_seconds() for slot, _ in made(task)] == [10, 20, 30]


def test_only_real_runs_are_counted(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        for _ in range(3):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(task)] == ["queued", "skipped", "skipped"]
        task.refresh_from_db()
        assert (task.total_run_count, task.last_run_at) == (1, NOON + timedelta(minutes=1))


@pytest.mark.slow
def test_a_slot_with_other_parameters_waits_its_turn(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        first, other, same = (schedule(job="purge_old_content") for _ in range(3))
        PeriodicTask.objects.filter(pk=other.pk).update(kwargs='{"days": 30}')
        for _ in range(2):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(first)] == ["queued", "skipped"]
        assert [status for _, status in made(other)] == ["queued", "skipped"]
        assert [status for _, status in made(same)] == ["skipped", "skipped"]
