"""Beat after an outage, and with a clock that was set back: which slots are missed, caught up, and recorded."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from database import clock
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import recovery, slots
from maintenance.scheduling.lease import Lease
from tests.maintenance.scheduling.beat.ticks import NOON, finish_all, look_everywhere, made, schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "ran", "missed"), [("skip", 0, 120), ("run_once", 1, 119), ("run_all", 3, 117)]
)
def test_an_outage_leaves_one_summary_and_what_the_policy_says(scheduler, policy, ran, missed):
    with time_machine.travel(NOON, tick=False) as clock:
        two_hours = timedelta(hours=2)
        task = schedule(misfire_policy=policy, misfire_limit=3, expires=NOON + two_hours)
        clock.shift(two_hours + timedelta(minutes=2))
        scheduler.tick()

        rows = JobRun.objects.filter(schedule=task)
        summary = rows.get(status="missed")
        assert summary.counts == {"slots_missed": missed}
        assert "no scheduler ticked" in summary.message
        assert rows.filter(status="queued").count() == ran
        assert rows.count() == ran + 1


@pytest.mark.slow
def test_a_late_slot_is_not_missed(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule("0 * * * *", misfire_policy="skip")
        clock.shift(3600 + 59)
        scheduler.tick()

        assert made(task) == [(NOON + timedelta(hours=1), "queued")]


def test_the_policy_parts_the_slots():
    due = [NOON - timedelta(minutes=m) for m in (50, 40, 30, 0)]
    control = ScheduleControl(misfire_policy="run_all", misfire_limit=2)

    parted = slots.classify(due, now=NOON, control=control)

    assert (parted.missed, parted.caught_up, parted.in_time) == (due[:1], due[1:3], due[3:])


@pytest.mark.slow
def test_extending_an_expired_schedule_makes_up_for_nothing(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule(expires=NOON + timedelta(minutes=1))
        clock.shift(3600)
        task.expires = None
        task.save()
        scheduler.tick()

        # The only slot before the end: no scheduler ticked then.
        assert made(task) == [(NOON + timedelta(minutes=1), "missed")]
        assert JobRun.objects.get(schedule=task).reason == "edited"


@pytest.mark.slow
def test_enabling_behind_our_back_owes_nothing(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        PeriodicTask.objects.filter(pk=task.pk).update(enabled=False)
        look_everywhere(scheduler)
        scheduler.tick()
        clock.shift(3600)
        PeriodicTask.objects.filter(pk=task.pk).update(enabled=True)
        look_everywhere(scheduler)
        scheduler.tick()

        assert made(task) == [(NOON + timedelta(hours=1), "skipped")]


@pytest.mark.slow
def test_disabling_behind_our_back_fires_nothing(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        PeriodicTask.objects.filter(pk=task.pk).update(enabled=False)
        clock.shift(60)
        scheduler.tick()

        assert [status for _, status in made(task)] == ["missed"]
        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at is None


@pytest.mark.slow
def test_a_clock_that_was_set_back_stops_no_schedule(scheduler):
    with time_machine.travel(NOON + timedelta(days=1), tick=False) as clock:
        task = schedule()
        clock.shift(60)
        scheduler.tick()
        scheduler._audit_at = time.monotonic()  # the next audit is a minute away
        clock.move_to(NOON)
        scheduler.tick()
        finish_all()
        clock.shift(60)
        scheduler.tick()

        assert NOON + timedelta(minutes=1) in dict(made(task))


@pytest.mark.slow
def test_a_slot_between_the_moment_when_the_clock_was_set_back_and_the_tick_that_notices_is_kept(
    scheduler, monkeypatch
):
    clock_shows = [NOON + timedelta(hours=1)]
    stopwatch = time.monotonic()
    monkeypatch.setattr(clock, "database_now", lambda: clock_shows[0])
    monkeypatch.setattr(Lease, "now", lambda lease: clock_shows[0])
    task = schedule(effective_from=NOON + timedelta(minutes=30))
    scheduler.tick()
    finish_all()
    # Set back to half a second before noon, and noticed a second later.
    monkeypatch.setattr(time, "monotonic", lambda: stopwatch + 1)
    scheduler._lease._clock = (clock_shows[0], stopwatch)
    clock_shows[0] = NOON + timedelta(seconds=0.5)
    scheduler.tick()

    assert NOON in dict(made(task))


@pytest.mark.slow
def test_the_clock_that_counts_is_the_databases(scheduler, monkeypatch):
    task = schedule(effective_from=timezone.now() + timedelta(hours=1))
    scheduler.tick()
    assert made(task) == []

    monkeypatch.setattr(clock, "database_now", lambda: timezone.now() + timedelta(hours=1, minutes=2))
    scheduler.tick()

    assert made(task)


@pytest.mark.slow
def test_workers_are_not_judged_just_after_the_database_was_away(scheduler, monkeypatch):
    judged = []
    monkeypatch.setattr(recovery, "sweep", lambda *, judge_workers: judged.append(judge_workers))
    scheduler.tick()
    with monkeypatch.context() as away:
        away.setattr(scheduler, "_run_due", lambda: (_ for _ in ()).throw(OperationalError("away")))
        scheduler.tick()  # a lock that is not granted does not count as an outage
        assert scheduler._judge_at == float("-inf")
        away.setattr(connection, "is_usable", lambda: False)
        scheduler.tick()
    look_everywhere(scheduler)
    scheduler.tick()
    scheduler._judge_at = time.monotonic()
    look_everywhere(scheduler)
    scheduler.tick()

    assert judged == [True, False, True]


def test_the_hosts_clock_plays_no_part(monkeypatch):
    monkeypatch.undo()  # the real one
    lease = Lease(5)
    lease._read_clock()
    before = lease.now()
    with time_machine.travel(timezone.now() + timedelta(hours=5)):
        assert abs(lease.now() - before) < timedelta(seconds=5)


@pytest.mark.slow
def test_slots_further_back_than_a_look_are_settled_too(scheduler):
    with time_machine.travel(datetime(2026, 5, 31, 12, tzinfo=UTC), tick=False) as clock:
        task = schedule("* * 1 * *", misfire_policy="skip")
        clock.move_to(datetime(2026, 6, 9, tzinfo=UTC))
        scheduler.tick()

        assert JobRun.objects.get(schedule=task).counts == {"slots_missed": 1440}
