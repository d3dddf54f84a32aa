"""The lease: one scheduler leads, and a scheduler that lost the lease cannot write."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.db import Error, connection, transaction
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from console.celery import app
from maintenance.models import BeatLease, BeatProcess, JobRun, ScheduleControl
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from maintenance.scheduling.lease import Lease, LeaseLost
from maintenance.scheduling.scheduler_health import scheduler_health
from tests.maintenance.scheduling.beat.ticks import NOON, finish_all, look_everywhere, made, schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_a_leader_that_slept_does_not_undo_what_its_heir_has_settled(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        interval = IntervalSchedule.objects.create(every=600, period="seconds")
        task = PeriodicTask.objects.create(name="often", task="maintenance.cleanup_tokens", interval=interval)
        clock.shift(90)
        scheduler.tick()
        fell_asleep_at = scheduler._lease.now()
        clock.shift(3600)
        expire()
        heir = LeasedDatabaseScheduler(app=app, lazy=True)
        heir.tick()
        finish_all()
        settled = ScheduleControl.objects.get(pk=task.pk)
        # Its monotonic clock stood still, so it believes that its lease needs no renewal yet.
        scheduler._lease.now = lambda: fell_asleep_at
        scheduler._lease._renewed_at = scheduler._lease._seen_at = time.monotonic()
        look_everywhere(scheduler)
        scheduler.tick()
        heir.close()

        control = ScheduleControl.objects.get(pk=task.pk)
        assert (control.last_slot_at, control.effective_from) == (
            settled.last_slot_at,
            settled.effective_from,
        )
        assert settled.last_slot_at is not None


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no sessions that a server could end"
)
def test_a_leader_that_freezes_in_its_transaction_is_thrown_out_by_the_server():
    zombie, heir = Lease(60), Lease(60)
    zombie.acquire()

    def freeze():
        with transaction.atomic():
            zombie.guard()
            zombie.seconds = 1
            zombie.guard()
            time.sleep(1.5)  # the freeze itself: nothing else would make the server end the session
            JobRun.objects.count()

    with pytest.raises(Error):
        freeze()
    connection.close()
    expire()

    assert heir.acquire()


def test_one_of_two_schedulers_holds_the_lease():
    first, second = Lease(5), Lease(5)

    assert first.acquire()
    assert not second.acquire()
    assert stale(first).acquire()


def stale(lease):
    """Change the lease's state so that its holder must renew it."""
    lease._renewed_at = float("-inf")
    return lease


def expire():
    BeatLease.objects.update(expires_at=timezone.now() - timedelta(days=1))


def test_an_expired_lease_is_taken_over_and_the_fence_grows():
    first, second = Lease(5), Lease(5)
    first.acquire()
    fence = BeatLease.objects.get().fence
    expire()

    assert second.acquire()
    assert BeatLease.objects.get().fence == fence + 1
    assert not stale(first).acquire()


def test_a_released_lease_is_free_at_once():
    first, second = Lease(5), Lease(5)
    first.acquire()
    first.release()

    assert second.acquire()


def test_a_zombie_that_lost_its_lease_cannot_write():

    zombie, heir = Lease(5), Lease(5)
    zombie.acquire()
    expire()
    heir.acquire()

    with pytest.raises(LeaseLost), transaction.atomic():
        zombie.guard()
    with transaction.atomic():
        heir.guard()


def test_a_scheduler_whose_lease_expired_in_the_middle_of_a_tick_writes_no_run(scheduler, monkeypatch):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        clock.shift(61)
        monkeypatch.setattr(scheduler._lease, "acquire", lambda: expire() or True)
        scheduler.tick()

        assert made(task) == []
        assert ScheduleControl.objects.get(pk=task.pk).last_slot_at is None


@pytest.mark.slow
def test_a_standby_ticks_nothing_until_the_leader_is_gone():
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        leader, standby = (LeasedDatabaseScheduler(app=app, lazy=True) for _ in range(2))
        leader.tick()
        standby.tick()
        clock.shift(61)
        standby.tick()
        assert made(task) == []

        leader.close()
        standby.tick()
        standby.close()
        assert len(made(task)) == 1


def test_the_lease_is_a_single_row():
    Lease(5).acquire()
    expire()
    Lease(5).acquire()

    assert BeatLease.objects.count() == 1


def test_a_lease_that_a_clock_ahead_has_left_is_taken_over():
    ahead = timezone.now() + timedelta(days=1)
    BeatLease.objects.create(pk=1, holder="dead:1:x", fence=3, expires_at=ahead, ticked_at=ahead)
    BeatProcess.objects.create(pk="dead:1:x", seen_at=ahead)
    assert not scheduler_health().is_alive

    lease = Lease(5)
    assert lease.acquire()
    assert BeatLease.objects.get().fence == 4
    assert not BeatProcess.objects.filter(pk="dead:1:x").exists()
