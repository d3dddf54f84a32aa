"""Ticks, slots, misfires, overlaps and the lease, with the clock in hand."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from celery import Celery
from django.db import Error, OperationalError, connection, transaction
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from console.celery import app
from database import clock
from maintenance.ledger import dispatch, requests
from maintenance.models import BeatLease, BeatProcess, JobRun, ScheduleControl
from maintenance.scheduling import (
    beat,
    edits,
    maintenance_mode,
    replanning,
    schedules,
    seeding,
    slots,
    tick_batch,
)
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.lease import Lease, LeaseLost
from maintenance.scheduling.scheduler_health import scheduler_health
from maintenance.scheduling.timing import Timing
from tests import factories
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def only_what_a_test_schedules(db):
    seeding.seed()
    PeriodicTask.objects.all().update(enabled=False)


@pytest.fixture
def scheduler():
    scheduler = LeasedDatabaseScheduler(app=app, lazy=True)
    yield scheduler
    scheduler.close()


def schedule(crontab="* * * * *", job="cleanup_tokens", expires=None, **control):
    """A schedule in UTC, in force since now."""
    task = factories.schedule(crontab=crontab, task=f"maintenance.{job}", expires=expires)
    return in_force(task, **{"effective_from": timezone.now(), **control})


def in_force(task, **control):
    """The schedule with these values, as the database's and beat's."""
    ScheduleControl.objects.filter(pk=task.pk).update(**control)
    task = PeriodicTask.objects.get(pk=task.pk)
    replanning.plan_next(task.control, Timing.of(task))
    task.control.save()
    return task


def daily_at_three():
    """A schedule in force since yesterday, whose slot of today is dealt with: another hour would owe one."""
    yesterday = NOON - timedelta(days=1)
    return schedule("0 3 * * *", effective_from=yesterday, last_slot_at=NOON.replace(hour=3))


def made(task):
    return [(run.scheduled_for, run.status) for run in JobRun.objects.filter(schedule=task).order_by("id")]


def look_everywhere(scheduler):
    """Let the next tick audit all schedules."""
    scheduler._sweep_at = scheduler._audit_at = float("-inf")


def finish_all():
    JobRun.objects.filter(status="queued").update(status="succeeded", finished_at=timezone.now())


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


def test_a_tick_asks_a_broker_that_is_away_only_once(scheduler, monkeypatch):
    with time_machine.travel(NOON, tick=False) as clock:
        for job in ("cleanup_tokens", "cleanup_sessions", "cleanup_login_sessions"):
            schedule(job=job)
        scheduler.tick()
        clock.shift(61)
        asked = []
        monkeypatch.setattr(beat.recovery, "sweep", lambda **_: None)  # its own question may come due too
        monkeypatch.setattr(dispatch, "publish_all", lambda waiting: asked.append(waiting) or 0)
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


def test_a_replayed_tick_after_a_crash_makes_no_second_run(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()
        in_force(task, last_slot_at=None)  # as if the write was lost
        scheduler.close()
        again = LeasedDatabaseScheduler(app=app, lazy=True)
        again.tick()
        again.close()

        assert len(made(task)) == 1


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
        assert "no scheduler was alive" in summary.message
        assert rows.filter(status="queued").count() == ran
        assert rows.count() == ran + 1


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


def test_overlap_skips_the_slot_while_the_earlier_run_is_open(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        for _ in range(3):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(task)] == ["queued", "skipped", "skipped"]
        assert JobRun.objects.filter(status="skipped").first().reason == "overlap"


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


def test_extending_an_expired_schedule_makes_up_for_nothing(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule(expires=NOON + timedelta(minutes=1))
        clock.shift(3600)
        task.expires = None
        task.save()
        scheduler.tick()

        # The one slot before its end: nobody ticked it.
        assert made(task) == [(NOON + timedelta(minutes=1), "missed")]
        assert JobRun.objects.get(schedule=task).reason == "edited"


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


def test_a_blocked_run_is_not_in_the_way_of_the_next_slot(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        factories.job_run(status="blocked", concurrency_key="cleanup_tokens")
        clock.shift(60)
        scheduler.tick()

        assert [status for _, status in made(task)] == ["queued"]


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


def test_somebody_elses_task_is_sent_without_a_run(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *", task="elsewhere.work", queue="elsewhere")
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()

        task.refresh_from_db()
        assert task.total_run_count == 1
        assert made(task) == []


def test_somebody_elses_task_does_not_stop_beat_while_the_broker_is_away(scheduler, monkeypatch):
    with time_machine.travel(NOON, tick=False) as clock:
        factories.schedule(crontab="* * * * *", task="elsewhere.work", queue="elsewhere")
        scheduler.tick()
        clock.shift(61)
        monkeypatch.setattr(scheduler, "apply_async", lambda *_, **__: (_ for _ in ()).throw(OSError("away")))

        assert scheduler.tick() > 0


def test_somebody_elses_task_does_not_make_the_tick_wait_for_a_broker_that_is_away(
    monkeypatch, no_broker, caplog
):
    nowhere = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(app.conf, "broker_write_url", nowhere)
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda seconds: pytest.fail("the tick waits"))
    with time_machine.travel(NOON, tick=False) as clock:
        foreign = [
            factories.schedule(crontab="* * * * *", task=f"elsewhere.work{n}", queue="elsewhere")
            for n in range(2)
        ]
        task = schedule()
        scheduler = LeasedDatabaseScheduler(app=app, lazy=True)
        scheduler.tick()
        clock.shift(61)
        scheduler.tick()
        scheduler.close()

        assert len(made(task)) == 1
        for one in foreign:
            assert f"{one.name} " in caplog.text


@pytest.mark.parametrize(
    "kwargs",
    ["[" * 100_000, "[]", "5", '{"\\ud800": 1}', '{"\\u0000": 1}', f'{{"days": {"9" * 5_000}}}'],
    ids=["too deep", "a list", "a number", "half a surrogate pair", "a NUL", "too many digits"],
)
def test_parameters_that_nobody_can_read_fail_in_the_history_and_stop_no_other(scheduler, kwargs):
    with time_machine.travel(NOON, tick=False) as clock:
        task, good = schedule(), schedule()
        PeriodicTask.objects.filter(pk=task.pk).update(kwargs=kwargs)
        clock.shift(61)
        scheduler.tick()

        assert [status for _, status in made(task)] == ["failed"]
        assert [status for _, status in made(good)] == ["queued"]
        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at is not None


def test_every_job_is_listed_with_its_next_fire_time_at_start(caplog):
    with caplog.at_level("INFO", logger="maintenance.scheduling.beat"):
        PeriodicTask.objects.all().update(enabled=True)
        LeasedDatabaseScheduler(app=app).close()

    assert "purge_old_content: 30 2 * * 0 (At 02:30, only on Sunday; Asia/Shanghai), next 2" in caplog.text
    assert "scrape_now: on demand" in caplog.text


def test_more_schedules_than_one_batch_holds_are_all_settled_in_one_tick(scheduler, monkeypatch):
    monkeypatch.setattr(beat, "BATCH", 3)
    with time_machine.travel(NOON, tick=False) as clock:
        tasks = [schedule(job=job) for job in ("cleanup_tokens", "cleanup_sessions") for _ in range(4)]
        clock.shift(60)
        scheduler.tick()

        assert JobRun.objects.filter(schedule__in=tasks).count() == 8
        assert JobRun.objects.queued().count() == 2


def test_a_batch_that_takes_long_is_written_before_it_goes_on(scheduler, monkeypatch):
    monkeypatch.setattr(tick_batch, "BATCH_SECONDS", -1)
    with time_machine.travel(NOON, tick=False) as clock:
        tasks = [schedule() for _ in range(3)]
        clock.shift(60)
        scheduler.tick()

        assert JobRun.objects.filter(schedule__in=tasks).count() == 3


def test_disabling_behind_our_back_fires_nothing(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        PeriodicTask.objects.filter(pk=task.pk).update(enabled=False)
        clock.shift(60)
        scheduler.tick()

        assert [status for _, status in made(task)] == ["missed"]
        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at is None


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


def test_the_clock_that_counts_is_the_databases(scheduler, monkeypatch):
    task = schedule(effective_from=timezone.now() + timedelta(hours=1))
    scheduler.tick()
    assert made(task) == []

    monkeypatch.setattr(clock, "database_now", lambda: timezone.now() + timedelta(hours=1, minutes=2))
    scheduler.tick()

    assert made(task)


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
        # Its stopwatch stood still, so it believes that its lease needs no renewal yet.
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

    def audit_and_let_in(task, *, now):
        audit(task, now=now)
        audited.append(task.pk)
        if task.pk == first.pk:
            editor.start()
            wait_until(is_waiting, timeout=20)

    monkeypatch.setattr(replanning, "recheck", audit_and_let_in)
    scheduler._audit()
    editor.join(20)

    assert set(both) <= set(audited)
    assert CrontabSchedule.objects.get(pk=first.crontab_id).minute == "7"


def test_workers_are_not_judged_just_after_the_database_was_away(scheduler, monkeypatch):
    judged = []
    monkeypatch.setattr(beat.recovery, "sweep", lambda *, judge_workers: judged.append(judge_workers))
    scheduler.tick()
    with monkeypatch.context() as away:
        away.setattr(scheduler, "_run_due", lambda: (_ for _ in ()).throw(OperationalError("away")))
        scheduler.tick()  # a lock that was not granted is no outage
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


@pytest.mark.parametrize("break_it", ["interval", "zone"])
def test_a_schedule_that_cannot_even_be_read_stops_neither_the_tick_nor_recovery(
    scheduler, monkeypatch, break_it
):
    swept = []
    monkeypatch.setattr(beat.recovery, "sweep", lambda **_: swept.append(1))
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
        # The slot of the time before; none by what it says now.
        assert [status for _, status in made(bad)] == ["missed"]
        assert len(swept) == 2


def test_a_one_off_leaves_one_row_for_all_it_missed(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule(misfire_policy="run_once")
        PeriodicTask.objects.filter(pk=task.pk).update(one_off=True)
        clock.shift(timedelta(hours=1))
        scheduler.tick()
        scheduler.tick()

        assert sorted(status for _, status in made(task)) == ["missed", "queued"]


def test_slots_further_back_than_a_look_are_settled_too(scheduler):
    with time_machine.travel(datetime(2026, 5, 31, 12, tzinfo=UTC), tick=False) as clock:
        task = schedule("* * 1 * *", misfire_policy="skip")
        clock.move_to(datetime(2026, 6, 9, tzinfo=UTC))
        scheduler.tick()

        assert JobRun.objects.get(schedule=task).counts == {"slots_missed": 1440}


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


# --- The lease -------------------------------------------------------------------------------


def test_one_of_two_schedulers_holds_the_lease():
    first, second = Lease(5), Lease(5)

    assert first.acquire()
    assert not second.acquire()
    assert stale(first).acquire()


def stale(lease):
    """The lease as its holder sees it when it is time to renew it."""
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


# --- Jobs that are gone, one-offs, parameters ------------------------------------------------------


@pytest.mark.parametrize("name", ["maintenance.cleanup_tokns", "elsewhere.work"])
def test_every_slot_of_a_job_that_is_gone_has_a_row(scheduler, name):
    with time_machine.travel(NOON, tick=False) as clock:
        task, good = factories.schedule(crontab="* * * * *", task=name), schedule()
        for _ in range(3):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(task)] == ["failed"] * 3
        run = JobRun.objects.filter(schedule=task).first()
        assert (run.reason, run.job) == ("unknown_job", name.removeprefix("maintenance."))
        assert "No such job" in run.error
        assert made(good)
        task.refresh_from_db()
        assert (task.total_run_count, task.last_run_at) == (0, None)


def test_a_task_that_our_workers_know_is_sent_without_a_row(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *", task="celery.accumulate", args="[1]")
        clock.shift(60)
        scheduler.tick()

        task.refresh_from_db()
        assert (made(task), task.total_run_count) == ([], 1)


def test_missed_slots_of_a_job_that_is_gone_have_their_row(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *", task="maintenance.gone")
        clock.shift(630)
        scheduler.tick()
        edits.pause(task, by=None, reason="x")
        clock.shift(600)
        edits.resume(task, by=None)

        assert [status for _, status in made(task)] == ["missed", "failed", "skipped"]


def one_off(moment):
    clocked = ClockedSchedule.objects.create(clocked_time=moment)
    return PeriodicTask.objects.create(
        name="once", task="maintenance.cleanup_tokens", clocked=clocked, one_off=True
    )


def test_a_one_off_waits_behind_an_earlier_run_instead_of_being_used_up(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        factories.job_run(status="running", concurrency_key="cleanup_tokens")
        task = one_off(NOON + timedelta(seconds=30))
        clock.shift(60)
        scheduler.tick()

        assert made(task) == [(NOON + timedelta(seconds=30), "queued")]
        task.refresh_from_db()
        assert (task.enabled, task.total_run_count) == (False, 1)


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


def test_only_real_runs_are_counted(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule()
        for _ in range(3):
            clock.shift(60)
            scheduler.tick()

        assert [status for _, status in made(task)] == ["queued", "skipped", "skipped"]
        task.refresh_from_db()
        assert (task.total_run_count, task.last_run_at) == (1, NOON + timedelta(minutes=1))


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


def test_what_celery_would_schedule_by_itself_is_named_at_start(caplog):
    task = schedule()
    PeriodicTask.objects.filter(pk=task.pk).update(queue="heavy", priority=3)
    other = Celery("other", set_as_current=False)
    other.conf.beat_schedule = {"nightly": {"task": "maintenance.cleanup_tokens", "schedule": 5}}
    other.add_periodic_task(30.0, other.signature("elsewhere.work"), name="every-30-seconds")
    LeasedDatabaseScheduler(app=other)

    assert "every-30-seconds (elsewhere.work) is ignored" in caplog.text
    assert "nightly (maintenance.cleanup_tokens) is ignored" in caplog.text
    assert f"{task.name}: queue, priority have no effect" in caplog.text
