"""Beat with many schedules, and with schedules that cannot be computed: batches and audits."""

import threading
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from console.celery import app
from maintenance.ledger import dispatch, requests
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import beat, recovery, replanning, tick_batch
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from maintenance.scheduling.lease import Lease
from tests.kit import factories
from tests.kit.waiting import wait_until
from tests.maintenance.scheduling.beat.ticks import NOON, look_everywhere, made, schedule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_a_tick_asks_a_broker_that_is_away_only_once(scheduler, monkeypatch):
    with time_machine.travel(NOON, tick=False) as clock:
        for job in ("cleanup_tokens", "cleanup_sessions", "cleanup_login_sessions"):
            schedule(job=job)
        scheduler.tick()
        clock.shift(61)
        asked = []
        monkeypatch.setattr(recovery, "sweep", lambda **_: None)  # its queries may become due too

        def publish_none(waiting):
            asked.append(waiting)
            return 0

        monkeypatch.setattr(dispatch, "publish_all", publish_none)
        scheduler.tick()

        assert (len(asked), JobRun.objects.queued().count()) == (1, 3)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
def test_a_tick_passes_over_a_schedule_that_is_being_edited_and_comes_back_to_it():
    def tick():
        scheduler.tick()
        connection.close()

    with time_machine.travel(NOON, tick=False) as clock:
        edited, other = schedule(job="cleanup_tokens"), schedule(job="cleanup_sessions")
        scheduler = LeasedDatabaseScheduler(app=app, lazy=True)
        clock.shift(61)  # one slot of each is due
        thread = threading.Thread(target=tick)
        with transaction.atomic():
            PeriodicTask.objects.select_for_update().get(pk=edited.pk)
            thread.start()
            thread.join(20)
            assert not thread.is_alive()
            ScheduleControl.objects.filter(pk=edited.pk).update(overlap_policy="queue_one")
        assert [len(made(task)) for task in (edited, other)] == [0, 1]

        scheduler.tick()
        scheduler.close()
        assert [len(made(task)) for task in (edited, other)] == [1, 1]


@pytest.mark.slow
def test_a_tick_that_was_rolled_back_is_made_again(scheduler, monkeypatch):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        clock.shift(61)
        with monkeypatch.context() as patch:
            patch.setattr(requests, "slot_run", lambda **_: (_ for _ in ()).throw(OperationalError("away")))
            scheduler.tick()
        assert made(task) == []
        scheduler.tick()

        assert len(made(task)) == 1


def test_one_schedule_that_cannot_be_computed_stops_no_other(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        endless = IntervalSchedule.objects.create(every=2_000_000_000, period="hours")
        PeriodicTask.objects.create(name="endless", task="maintenance.cleanup_sessions", interval=endless)
        PeriodicTask.objects.filter(pk=schedule().pk).update(
            crontab=factories.schedule(crontab="0 0 * * 7").crontab
        )
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()

        assert len(made(task)) == 1
        LeasedDatabaseScheduler(app=app).close()


@pytest.mark.slow
def test_more_schedules_than_one_batch_holds_are_all_settled_in_one_tick(scheduler, monkeypatch):
    monkeypatch.setattr(beat, "BATCH", 3)
    with time_machine.travel(NOON, tick=False) as clock:
        tasks = [schedule(job=job) for job in ("cleanup_tokens", "cleanup_sessions") for _ in range(4)]
        clock.shift(60)
        scheduler.tick()

        assert JobRun.objects.filter(schedule__in=tasks).count() == 8
        assert JobRun.objects.queued().count() == 2


@pytest.mark.slow
def test_a_batch_that_takes_long_is_written_before_it_goes_on(scheduler, monkeypatch):
    monkeypatch.setattr(tick_batch, "BATCH_SECONDS", -1)
    with time_machine.travel(NOON, tick=False) as clock:
        tasks = [schedule() for _ in range(3)]
        clock.shift(60)
        scheduler.tick()

        assert JobRun.objects.filter(schedule__in=tasks).count() == 3


@pytest.mark.slow
def test_many_schedules_are_put_back_at_once(scheduler):
    with time_machine.travel(NOON + timedelta(hours=1), tick=False) as clock:
        tasks = [schedule() for _ in range(beat.AUDITED + 2)]
        clock.shift(60)
        scheduler.tick()
        clock.move_to(NOON)
        scheduler.tick()

        controls = ScheduleControl.objects.filter(pk__in=[task.pk for task in tasks])
        assert set(controls.values_list("next_slot_at", flat=True)) == {NOON + timedelta(minutes=1)}


def test_what_the_leader_has_put_back_is_not_put_back_again_by_its_heir():
    lease = Lease(1)
    with time_machine.travel(NOON + timedelta(hours=1), tick=False) as clock:
        lease.acquire()
        clock.move_to(NOON)
        lease.acquire()
        lease._set_back = (lease._set_back[0], time.monotonic() - 4)

        assert lease.take_set_back() is None


def test_a_schedule_that_was_never_seen_by_us_is_found(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        crontab = factories.schedule(crontab="* * * * *", enabled=False).crontab
        PeriodicTask.objects.bulk_create(
            [PeriodicTask(name="raw", task="maintenance.cleanup_tokens", crontab=crontab)]
        )
        scheduler.tick()
        clock.shift(60)
        scheduler.tick()

        assert len(made(PeriodicTask.objects.get(name="raw"))) == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
def test_an_audit_and_an_edit_of_a_shared_crontab_row_wait_for_each_other(scheduler, monkeypatch):
    first = factories.schedule(crontab="* * * * *", task="elsewhere.work")
    second = factories.schedule(task="maintenance.cleanup_tokens")
    both = [first.pk, second.pk]
    PeriodicTask.objects.filter(pk=second.pk).update(crontab=first.crontab)
    ago = timezone.now() - timedelta(minutes=10)
    ScheduleControl.objects.filter(pk__in=both).update(effective_from=ago, last_slot_at=None)
    CrontabSchedule.objects.filter(pk=first.crontab_id).update(minute="5")
    scheduler._lease.acquire()
    audited, audit = [], replanning.recheck

    def edit():
        row = CrontabSchedule.objects.get(pk=first.crontab_id)
        row.minute = "7"
        row.save()
        connection.close()

    editor = threading.Thread(target=edit)

    def is_waiting():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return cursor.fetchone()[0]

    def audit_and_let_in(task, *, now, modes):
        audit(task, now=now, modes=modes)
        audited.append(task.pk)
        if task.pk == first.pk:
            editor.start()
            wait_until(is_waiting, timeout=20)

    monkeypatch.setattr(replanning, "recheck", audit_and_let_in)
    scheduler._audit()
    editor.join(20)

    assert set(both) <= set(audited)
    assert CrontabSchedule.objects.get(pk=first.crontab_id).minute == "7"


@pytest.mark.slow
@pytest.mark.parametrize("break_it", ["interval", "zone"])
def test_a_schedule_that_cannot_even_be_read_stops_neither_the_tick_nor_recovery(
    scheduler, monkeypatch, break_it
):
    swept = []
    monkeypatch.setattr(recovery, "sweep", lambda **_: swept.append(1))
    with time_machine.travel(NOON, tick=False) as clock:
        good, bad = schedule(), schedule(job="cleanup_sessions")
        if break_it == "interval":
            endless = IntervalSchedule.objects.create(every=2_000_000_000, period="days")
            PeriodicTask.objects.filter(pk=bad.pk).update(crontab=None, interval=endless)
        else:
            with connection.cursor() as cursor:  # the field itself would refuse it
                cursor.execute(
                    "UPDATE django_celery_beat_crontabschedule SET timezone = 'Mars/Olympus' WHERE id = %s",
                    [bad.crontab_id],
                )
        clock.shift(60)
        scheduler.tick()
        look_everywhere(scheduler)
        scheduler.tick()

        assert len(made(good)) == 1
        # The slot of the earlier timing; the current one has no slots.
        assert [status for _, status in made(bad)] == ["missed"]
        assert len(swept) == 2
