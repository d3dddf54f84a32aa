"""Planned windows: what they hold, when it runs instead, and what the history and the pages say of it."""

import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from alerts import rules
from maintenance.explanations.schedules import explain_schedule, explain_slot
from maintenance.ledger import requests
from maintenance.models import JobRun, PlannedWindow, ScheduleControl
from maintenance.registry import JobsPaused
from maintenance.scheduling import edits, maintenance_mode, tick_batch
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.forecast import Hold
from maintenance.scheduling.scheduler_health import scheduler_health
from tests.kit import factories
from tests.maintenance.scheduling.windows import (
    HOUR,
    MINUTE,
    NOON,
    history,
    pass_time,
    plan,
    reread,
    schedule,
    weekly,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("only_what_a_test_schedules")]


# --- What becomes of slots ----------------------------------------------------------------------

TABLE = {
    "it leaves out the slots of a window": (
        {},
        [
            "12:30 succeeded at 12:30",
            "14:30 skipped 4",
            "15:00 succeeded at 15:00",
            "15:30 succeeded at 15:30",
        ],
    ),
    "one that catches up runs once at the end": (
        {"catch_up_after_pause": True},
        [
            "12:30 succeeded at 12:30",
            "14:30 skipped 4",
            "15:00 succeeded at 15:00",
            "15:30 succeeded at 15:30",
        ],
    ),
    "one that catches up all does so at the end": (
        {"catch_up_after_pause": True, "misfire_policy": "run_all", "misfire_limit": 3},
        [
            "12:30 succeeded at 12:30",
            "13:00 skipped 1",
            "13:30 succeeded at 15:00",
            "14:00 succeeded at 15:00",
            "14:30 succeeded at 15:00",
            "15:00 skipped 0",  # it would overlap with those
            "15:30 succeeded at 15:30",
        ],
    ),
    "one that skips what it missed catches nothing up": (
        {"catch_up_after_pause": True, "misfire_policy": "skip"},
        [
            "12:30 succeeded at 12:30",
            "14:30 skipped 4",
            "15:00 succeeded at 15:00",
            "15:30 succeeded at 15:30",
        ],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("policies", "expected"), TABLE.values(), ids=TABLE.keys())
@pytest.mark.parametrize("repeats", [False, True], ids=["once", "weekly"])
def test_every_slot_gets_its_decision_once(clock, scheduler, policies, expected, repeats):
    task = schedule(**policies)
    if repeats:
        weekly(2, time(13), time(15))
    else:
        plan()
    pass_time(clock, scheduler, NOON + timedelta(hours=3, minutes=45), step=5 * MINUTE)

    assert history(task) == expected


@pytest.mark.slow
@pytest.mark.parametrize("catches_up", [False, True])
def test_what_is_shown_as_the_next_run_is_what_happens(clock, scheduler, catches_up):
    task = schedule("20 * * * *", catch_up_after_pause=catches_up)
    plan(NOON + 10 * MINUTE, NOON + 130 * MINUTE)
    plan(NOON + 130 * MINUTE, NOON + 190 * MINUTE, reason="and more")  # follows without a gap
    expected = NOON + (190 if catches_up else 200) * MINUTE
    assert reread(task).next_run_at == expected
    seen = set()
    while not JobRun.objects.filter(schedule=task, status="queued").exists():
        clock.shift(5 * MINUTE)
        scheduler._sweep_at = float("-inf")
        if (shown := reread(task).next_run_at) is not None:
            seen.add(shown)
        scheduler.tick()
        assert datetime.now(UTC) < NOON + 5 * HOUR

    assert seen == {expected}
    assert expected <= datetime.now(UTC) <= expected + MINUTE


def test_the_tick_puts_a_held_schedule_off_until_the_end(clock, scheduler):
    task = schedule(catch_up_after_pause=True)
    plan()
    clock.shift(HOUR + timedelta(seconds=1))
    scheduler.tick()
    control = ScheduleControl.objects.get(pk=task.pk)
    assert JobRun.objects.filter(schedule=task, scheduled_for=NOON + HOUR).count() == 0
    clock.shift(10 * MINUTE)
    scheduler.tick()
    control.refresh_from_db()

    assert control.next_slot_at == NOON + 3 * HOUR
    assert scheduler_health().overdue == 0


def test_a_schedule_that_is_resumed_in_a_window_catches_up_after_it(clock, scheduler):
    task = schedule(catch_up_after_pause=True)
    edits.pause(task, by=None, reason="x")
    plan(NOON + 40 * MINUTE, NOON + 3 * HOUR)
    clock.shift(HOUR)
    edits.resume(task, by=None)
    scheduler.tick()
    assert not JobRun.objects.filter(schedule=task, status="queued").exists()
    assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON + 3 * HOUR
    assert reread(task).next_run_at == NOON + 3 * HOUR

    clock.move_to(NOON + 3 * HOUR + timedelta(seconds=1))
    scheduler.tick()
    assert JobRun.objects.filter(schedule=task, status="queued").count() == 1


def test_a_one_off_in_a_window_runs_after_it(clock, scheduler):
    task = PeriodicTask.objects.create(
        name="once",
        task="maintenance.cleanup_tokens",
        one_off=True,
        clocked=ClockedSchedule.objects.create(clocked_time=NOON + 2 * HOUR),
    )
    plan()
    assert reread(task).next_run_at == NOON + 3 * HOUR
    pass_time(clock, scheduler, NOON + 4 * HOUR, step=10 * MINUTE)

    assert history(task) == ["14:00 succeeded at 15:00"]


def test_a_scheduler_that_was_dead_during_the_whole_window_knows_what_it_held(clock, scheduler):
    task = schedule(misfire_policy="skip")
    plan()
    clock.move_to(NOON + 5 * HOUR + 10 * MINUTE)
    scheduler.tick()

    by_status = {run.status: run for run in JobRun.objects.filter(schedule=task)}
    assert by_status["skipped"].counts == {"slots_skipped": 4}  # 13:00 to 14:30
    assert "restore test" in by_status["skipped"].message
    assert by_status["missed"].counts == {"slots_missed": 6}


def test_a_retimed_schedule_records_what_the_window_held(clock, scheduler):
    task = schedule()
    plan(NOON + 20 * MINUTE, NOON + 3 * HOUR)
    clock.shift(100 * MINUTE)
    scheduler.tick()
    edits.retime(task, by=None, crontab=Crontab.parse("5 * * * *"), timezone_name="UTC")

    row = JobRun.objects.get(schedule=task)
    assert (row.status, row.counts, row.scheduled_for) == (
        "skipped",
        {"slots_skipped": 3},
        NOON + 90 * MINUTE,
    )


# --- Whom it holds -------------------------------------------------------------------------------


def test_the_window_of_a_group_holds_its_runs_and_nothing_else(clock, scheduler):
    scrapes, cleans = schedule(job="auto_scraping"), schedule()
    run = requests.request_run(job="auto_scraping", trigger="admin")
    plan(NOON + MINUTE, NOON + 2 * HOUR, scope="scraping")
    assert run.claim(worker="w")
    JobRun.objects.all().delete()
    clock.shift(31 * MINUTE)
    scheduler.tick()
    assert not JobRun.objects.filter(schedule=scrapes).exists()
    assert JobRun.objects.filter(schedule=cleans, status="queued").exists()

    with pytest.raises(JobsPaused, match=r"until 2026-06-03 .* restore test"):
        requests.request_run(job="auto_scraping", trigger="admin")
    assert requests.request_run(job="auto_scraping", trigger="admin", dry_run=True).status == "queued"
    assert [reread(task).hold for task in (scrapes, cleans)] == [Hold.WINDOW, Hold.NONE]


def test_a_queued_run_of_a_schedule_waits_for_the_end_and_a_manual_one_does_not(clock):
    of_schedule = factories.job_run(status="queued", trigger="schedule", scheduled_for=NOON)
    manual = factories.job_run(status="queued", trigger="admin", job="cleanup_sessions")
    plan(NOON + MINUTE, NOON + HOUR)
    clock.shift(2 * MINUTE)
    assert not of_schedule.claim(worker="w")
    assert manual.claim(worker="w")

    clock.shift(HOUR)
    assert of_schedule.claim(worker="w")


# --- Why? ----------------------------------------------------------------------------------------


def test_why_names_the_window_who_planned_it_and_its_end(clock, scheduler):
    task = schedule()
    operator = factories.user("maintenance.change_maintenancemode", "maintenance.view_jobrun")
    plan(NOON + 20 * MINUTE, NOON + 100 * MINUTE, by=operator)
    to_come = explain_slot(task, NOON + 30 * MINUTE)[0]
    clock.move_to(NOON + 50 * MINUTE)
    now = explain_schedule(task)[0]
    assert (to_come.code, now.code) == ("planned_window", "planned_window")
    assert f"window “restore test”, planned by {operator.get_username()}, until" in now.text

    clock.move_to(NOON + 100 * MINUTE + timedelta(seconds=1))
    scheduler.tick()
    past = explain_slot(task, NOON + 30 * MINUTE)[0]
    assert past.code == "planned_window"
    assert "did not run: window “restore test”" in past.text


# --- Concurrency ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_window_that_opens_while_a_tick_runs_neither_doubles_nor_loses_a_slot(
    clock, scheduler, monkeypatch
):
    tasks = [schedule("* * * * *", job="cleanup_tokens") for _number in range(5)]
    clock.shift(61)
    settle, opened = tick_batch.TickBatch.settle, []

    def settle_and_open(batch, task):
        if not opened:
            opened.append(True)
            if connection.vendor == "sqlite":
                return settle(batch, task)  # one writer at a time: it opens after the tick

            def open_it():
                plan(NOON, NOON + 10 * MINUTE)
                connection.close()

            thread = threading.Thread(target=open_it)
            thread.start()
            thread.join()
        return settle(batch, task)

    monkeypatch.setattr(tick_batch.TickBatch, "settle", settle_and_open)
    scheduler.tick()
    if not PlannedWindow.objects.exists():
        plan(NOON, NOON + 10 * MINUTE)
    for _minute in range(12):
        clock.shift(60)
        scheduler.tick()
        JobRun.objects.filter(status="queued").update(status="succeeded", finished_at=datetime.now(UTC))

    for task in tasks:
        rows = list(JobRun.objects.filter(schedule=task).order_by("scheduled_for"))
        slots = sum(sum(run.counts.values()) or 1 for run in rows)
        assert len({run.scheduled_for for run in rows}) == len(rows)
        assert slots == 13
        assert rows[0].status in ("succeeded", "skipped")


def test_maintenance_mode_inside_a_window_changes_nothing(clock, scheduler):
    task = schedule()
    plan()
    clock.move_to(NOON + 90 * MINUTE)
    maintenance_mode.start(by=None, reason="deploy")
    clock.move_to(NOON + 110 * MINUTE)
    maintenance_mode.end(by=None)
    pass_time(clock, scheduler, NOON + 190 * MINUTE, step=5 * MINUTE)

    assert "14:30 skipped 4" in history(task)
    assert history(task)[-1] == "15:00 succeeded at 15:00"


def test_no_alert_opens_for_slots_that_a_window_holds(clock, scheduler):
    schedule()
    factories.job_run(status="queued", trigger="schedule", scheduled_for=NOON, queued_at=NOON)
    plan(NOON + MINUTE, NOON + 5 * HOUR)
    clock.shift(3 * HOUR)
    scheduler.tick()
    assert list(rules.late(datetime.now(UTC))) == []
    clock.move_to(NOON + 5 * HOUR + MINUTE)
    scheduler.tick()

    assert JobRun.objects.filter(status="skipped").exists()
    assert list(rules.missed(datetime.now(UTC))) == []
