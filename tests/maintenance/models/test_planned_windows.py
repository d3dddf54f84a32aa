"""When a window is open is computed: whatever its stored occurrence says, and after every early end."""

from datetime import UTC, datetime, time, timedelta

import pytest

from maintenance.ledger import requests
from maintenance.models import JobRun, PlannedWindow
from maintenance.registry import JobsPaused
from maintenance.scheduling import planned_windows
from maintenance.scheduling.holds import Holds, Window
from maintenance.scheduling.planned_windows import Plan
from tests.kit import factories
from tests.maintenance.scheduling.windows import HOUR, MINUTE, NOON, pass_time, schedule, weekly

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("only_what_a_test_schedules")]
ALL_WEEK = frozenset(range(7))


def daily(begins, ends, *, scope=""):
    times = Plan(weekdays=ALL_WEEK, from_time=begins, to_time=ends)
    return planned_windows.plan_window(times, by=None, reason="backup", scope=scope)


def held(row, moment):
    return Holds([Window(PlannedWindow.objects.get(pk=row.pk))]).covers(moment)


# --- Runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "windows",
    [
        [(time(0), time(0))],
        [(time(10), time(12, 30)), (time(12, 30), time(14))],
    ],
    ids=["from midnight to midnight", "one after the other"],
)
def test_no_run_starts_between_two_occurrences_that_touch_before_anybody_has_looked(clock, windows):
    clock.move_to(NOON - 3 * HOUR)
    for begins, ends in windows:
        daily(begins, ends)
    run = factories.job_run(status="queued", schedule=schedule(), scheduled_for=NOON)
    moment = NOON + 12 * HOUR if len(windows) == 1 else NOON + 30 * MINUTE
    clock.move_to(moment + timedelta(seconds=1))

    assert not JobRun.objects.may_start().exists()
    assert not run.claim(worker="w")


def test_a_run_is_claimed_as_soon_as_the_window_is_over_although_no_scheduler_lives(clock):
    row = weekly(2, time(12, 30), time(14))
    run = factories.job_run(status="queued", schedule=schedule(), scheduled_for=NOON)
    clock.move_to(NOON + HOUR)
    assert not run.claim(worker="w")
    clock.move_to(NOON + 2 * HOUR)

    assert run.claim(worker="w")
    row.refresh_from_db()
    assert row.starts_at == NOON + timedelta(days=7, minutes=30)


def test_a_window_whose_stored_occurrence_is_weeks_old_still_holds(clock):
    daily(time(12), time(14), scope="scraping")
    clock.move_to(NOON + timedelta(days=20, hours=1))

    with pytest.raises(JobsPaused, match="2026-06-23 22:00"):
        requests.request_run(job="auto_scraping", trigger="manual", by=None)
    run = factories.job_run(status="queued", job="auto_scraping")
    assert not run.claim(worker="w")


def test_a_window_of_an_unknown_zone_moves_on_by_weeks_and_holds_nothing_for_good(clock):
    row = weekly(2, time(12, 30), time(14))
    PlannedWindow.objects.update(timezone="Mars/Base")
    run = factories.job_run(status="queued", schedule=schedule(), scheduled_for=NOON)
    clock.move_to(NOON + timedelta(days=8))

    assert run.claim(worker="w")
    row.refresh_from_db()
    assert row.starts_at == NOON + timedelta(days=14, minutes=30)


# --- Early ends -----------------------------------------------------------------------------------


def test_each_occurrence_that_was_ended_early_stays_ended(clock):
    row = daily(time(12), time(14))
    for day in range(3):
        clock.move_to(NOON + timedelta(days=day, minutes=20))
        planned_windows.end_now(row, by=None)
        planned_windows.end_now(row, by=None)  # pressed twice

    for day in range(3):
        noon = NOON + timedelta(days=day)
        assert held(row, noon + 10 * MINUTE)
        assert not held(row, noon + HOUR)
    assert held(row, NOON + timedelta(days=3, hours=1))


def test_one_that_the_release_before_ended_early_stays_ended_too(clock):
    row = daily(time(12), time(14))
    PlannedWindow.objects.update(cut_at=NOON + 20 * MINUTE)
    clock.move_to(NOON + timedelta(days=1, minutes=20))
    planned_windows.end_now(PlannedWindow.objects.get(), by=None)

    assert not held(row, NOON + HOUR)
    assert not held(row, NOON + timedelta(days=1, hours=1))


def test_early_ends_are_kept_as_long_as_slots_may_be_unrecorded(clock):
    row = daily(time(12), time(14))
    for day in (0, 20, 40):
        clock.move_to(NOON + timedelta(days=day, minutes=20))
        planned_windows.end_now(row, by=None)

    row.refresh_from_db()
    assert len(row.cuts) == 2


def test_a_scheduler_that_was_dead_makes_no_slot_of_two_early_ends_a_held_one(clock, scheduler):
    task = schedule("0 13 * * *", catch_up_after_pause=False)
    row = daily(time(12, 30), time(14))
    for day in range(2):
        clock.move_to(NOON + timedelta(days=day, minutes=40))
        planned_windows.end_now(row, by=None)
    clock.move_to(NOON + timedelta(days=1, hours=6))
    pass_time(clock, scheduler, datetime.now(UTC) + MINUTE)

    rows = JobRun.objects.filter(schedule=task).order_by("scheduled_for")
    assert [(run.scheduled_for, run.status) for run in rows] == [
        (NOON + HOUR, "missed"),
        (NOON + timedelta(days=1, hours=1), "succeeded"),
    ]
