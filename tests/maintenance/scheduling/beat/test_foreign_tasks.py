"""Beat with tasks of other packages, removed jobs, and unreadable parameters."""

import pytest
import time_machine
from celery import Celery
from django.db import ProgrammingError
from django_celery_beat.models import PeriodicTask

from console.celery import app
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from tests.kit import factories
from tests.maintenance.scheduling.beat.ticks import NOON, made, schedule

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_scheduler_starts_before_its_database_answers_or_is_migrated(caplog, monkeypatch):
    def no_table(_slug):
        raise ProgrammingError('relation "django_celery_beat_periodictask" does not exist\nLINE 1: …')

    monkeypatch.setattr(schedules, "for_job", no_table)

    LeasedDatabaseScheduler(app=app).close()

    (line,) = [record.getMessage() for record in caplog.records if "cannot be read yet" in record.message]
    assert line.endswith('relation "django_celery_beat_periodictask" does not exist.')


@pytest.mark.slow
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


@pytest.mark.slow
def test_missed_slots_of_a_job_that_is_gone_have_their_row(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *", task="maintenance.gone")
        clock.shift(630)
        scheduler.tick()
        edits.pause(task, by=None, reason="x")
        clock.shift(600)
        edits.resume(task, by=None)

        assert [status for _, status in made(task)] == ["missed", "failed", "skipped"]


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
