"""Planned windows: what ends them, what is refused, and what is recorded."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.exceptions import PermissionDenied

from audit.models import Event
from maintenance.explanations import explain_run
from maintenance.models import JobRun, PlannedWindow, ScheduleControl
from maintenance.scheduling import maintenance_mode, planned_windows, recovery
from maintenance.scheduling.planned_windows import InvalidWindow, Plan
from tests.kit import factories
from tests.maintenance.scheduling.windows import (
    HOUR,
    MINUTE,
    NOON,
    history,
    plan,
    reread,
    schedule,
    weekly,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("only_what_a_test_schedules")]


# --- Ending and deleting -------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["end", "delete"])
@pytest.mark.parametrize("repeats", [False, True], ids=["once", "weekly"])
def test_a_window_that_ends_early_frees_the_next_slots_at_once(clock, scheduler, what, repeats):
    task = schedule()
    row = weekly(2, time(12, 20), time(15)) if repeats else plan(NOON + 20 * MINUTE, NOON + 3 * HOUR)
    clock.move_to(NOON + 31 * MINUTE)
    scheduler.tick()
    assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON + 3 * HOUR
    clock.move_to(NOON + 40 * MINUTE)
    if what == "end":
        planned_windows.end_now(row, by=None)
    else:
        planned_windows.delete_window(row, by=None)
    scheduler.tick()
    clock.move_to(NOON + 60 * MINUTE + timedelta(seconds=1))
    scheduler.tick()

    assert history(task) == ["12:30 skipped 1", "13:00 queued 0"]
    row.refresh_from_db()
    assert (row.ended_at is None) == (what == "end" and repeats)
    if row.ended_at is None:
        assert row.starts_at == NOON + timedelta(days=7, minutes=20)


def test_a_weekly_window_moves_on_and_one_that_happens_once_ends(clock):
    once, repeated = plan(), weekly(2, time(23), time(2), zone="Asia/Shanghai")
    clock.move_to(NOON + timedelta(days=1))
    assert PlannedWindow.objects.move_on(datetime.now(UTC)) == 2
    once.refresh_from_db()
    repeated.refresh_from_db()

    assert once.ended_at == once.ends_at == NOON + 3 * HOUR
    assert (repeated.starts_at, repeated.ends_at) == (
        NOON + timedelta(days=7, hours=3),
        NOON + timedelta(days=7, hours=6),
    )
    assert PlannedWindow.objects.move_on(datetime.now(UTC)) == 0


def test_nothing_starts_between_two_days_of_a_window(clock):
    days = Plan(weekdays=frozenset([2, 3]), from_time=time(0), to_time=time(0))
    planned_windows.plan_window(days, by=None, reason="move")
    run = factories.job_run(status="queued", schedule=schedule(), scheduled_for=NOON - MINUTE)
    clock.move_to(NOON + 12 * HOUR)
    recovery.sweep()

    run.refresh_from_db()
    assert run.sent_at is None


def test_a_window_holds_nothing_before_it_was_planned(clock, scheduler):
    task = schedule()
    clock.move_to(NOON + 45 * MINUTE)  # the slot of 12:30 is late
    weekly(2, time(12, 20), time(15))
    clock.move_to(NOON + 4 * HOUR)
    scheduler.tick()

    missed = JobRun.objects.get(schedule=task, status="missed")
    assert missed.counts["slots_missed"] >= 1
    assert JobRun.objects.get(schedule=task, status="skipped").counts == {"slots_skipped": 4}


def test_a_switch_used_twice_before_and_in_a_window_still_knows_its_first_slots(clock, scheduler):
    task = schedule(catch_up_after_pause=False)
    plan(NOON + 35 * MINUTE, NOON + 3 * HOUR)
    clock.move_to(NOON + 5 * MINUTE)
    maintenance_mode.start(by=None, reason="restore")
    clock.move_to(NOON + 40 * MINUTE)
    maintenance_mode.end(by=None)
    scheduler.tick()
    clock.move_to(NOON + 70 * MINUTE)
    maintenance_mode.start(by=None, reason="again")
    clock.move_to(NOON + 80 * MINUTE)
    maintenance_mode.end(by=None)
    clock.move_to(NOON + 3 * HOUR)
    scheduler.tick()

    assert history(task) == ["14:30 skipped 5", "15:00 queued 0"]


def test_a_slot_as_old_at_the_end_as_may_be_caught_up_is_caught_up_as_shown(clock, scheduler):
    task = schedule("0 13 * * *", catch_up_after_pause=True, catch_up_hours=2)
    plan(NOON + HOUR, NOON + 3 * HOUR)
    clock.move_to(NOON + HOUR)
    scheduler.tick()
    assert reread(task).next_run_at == NOON + 3 * HOUR
    clock.move_to(NOON + 3 * HOUR + timedelta(seconds=1))
    scheduler.tick()

    assert history(task) == ["13:00 queued 0"]


def test_a_window_that_is_forgotten_is_not_taken_for_an_old_pause(clock):
    run = factories.job_run(
        status="skipped",
        reason="paused",
        schedule=schedule(),
        scheduled_for=NOON + HOUR,
        message="restore test",
    )
    maintenance_mode.start(by=None, reason="migration")
    maintenance_mode.end(by=None)
    for verb, at in ((maintenance_mode.STARTED, NOON), (maintenance_mode.ENDED, NOON + MINUTE)):
        event = Event.objects.get(verb=verb)
        event.pk, event.at = None, at
        event.save(force_insert=True)

    assert "restore test" in explain_run(run)[0].text


# --- Refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (Plan(NOON + HOUR, NOON + HOUR), "ends_at"),
        (Plan(NOON + HOUR, None), "starts_at"),
        (Plan(NOON - 2 * HOUR, NOON - HOUR), "ends_at"),
        (Plan(NOON + HOUR, NOON + timedelta(days=100)), "ends_at"),
        (Plan(NOON + HOUR, NOON + 2 * HOUR, timezone="Mars/Base"), "timezone"),
        (Plan(weekdays=frozenset([0]), from_time=time(1)), "from_time"),
    ],
)
def test_a_window_that_cannot_be_is_refused_by_name(clock, plan, field):
    with pytest.raises(InvalidWindow) as refused:
        planned_windows.plan_window(plan, by=None, reason="x")
    assert refused.value.field == field
    assert not PlannedWindow.objects.exists()


def test_it_needs_a_reason_a_known_group_and_the_permission(clock):
    for options, field in (({"reason": " "}, "reason"), ({"scope": "baking"}, "scope")):
        with pytest.raises(InvalidWindow) as refused:
            plan(**options)
        assert refused.value.field == field
    row = plan()
    outsider = factories.user("maintenance.view_jobrun")
    for change in (
        lambda: plan(by=outsider),
        lambda: planned_windows.end_now(row, by=outsider),
        lambda: planned_windows.delete_window(row, by=outsider),
    ):
        with pytest.raises(PermissionDenied):
            change()


def test_each_change_leaves_an_event(clock):
    operator = factories.user("maintenance.change_maintenancemode", "maintenance.view_jobrun")
    row = plan(NOON + MINUTE, NOON + HOUR, by=operator)
    clock.shift(2 * MINUTE)
    planned_windows.end_now(row, by=operator)
    planned_windows.delete_window(plan(by=operator), by=operator)

    events = Event.objects.filter(verb__startswith="planned_window.").order_by("pk")
    assert [event.verb.partition(".")[2] for event in events] == ["planned", "ended", "planned", "deleted"]
    assert {event.actor_name for event in events} == {operator.get_username()}
    assert events[0].after["reason"] == "restore test"
