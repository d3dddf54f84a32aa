"""When a worker counts itself as stuck; ``tests/chaos`` tests with real workers what it does then."""

import time
from datetime import timedelta

import pytest

from database import clock
from maintenance.ledger import workers
from maintenance.ledger.workers import EventLoopNote
from maintenance.models import WorkerProcess
from tests.kit import factories

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(minutes=5)


def waiting(**values):
    long_ago = clock.now() - LONG_AGO
    return factories.job_run(**{"status": "queued", "queued_at": long_ago, "sent_at": long_ago, **values})


def test_a_worker_with_room_that_takes_nothing_although_work_waits_is_sick(watch):
    waiting()

    assert "takes no work" in watch.why_sick(1)


def test_a_loop_that_stands_still_is_sick_without_any_work(watch, monkeypatch):
    monkeypatch.setattr(EventLoopNote, "ran_at", time.monotonic() - workers.UNRESPONSIVE_SECONDS - 1)

    assert "stands still" in watch.why_sick(0)


def test_a_broker_that_does_not_answer_is_not_the_workers_fault(watch, monkeypatch):
    monkeypatch.setattr(EventLoopNote, "ran_at", time.monotonic() - LONG_AGO.total_seconds())
    waiting()

    assert not watch.why_sick(None)


def test_an_idle_worker_is_well(watch):
    assert not watch.why_sick(0)


def test_messages_without_a_run_that_waits_make_nobody_sick(watch):
    waiting(job="nobody_knows")
    waiting(not_before=clock.now() + LONG_AGO)

    assert not watch.why_sick(5)


def test_a_worker_that_has_just_taken_work_is_well(watch, monkeypatch):
    waiting()
    monkeypatch.setattr(workers._taken_at, "value", time.monotonic())

    assert not watch.why_sick(1)


def test_a_worker_without_room_is_well(watch):
    waiting()
    for job in ("cleanup_sessions", "cleanup_login_sessions"):
        factories.job_run(status="running", job=job, worker=f"worker@one:{job}")
    factories.job_run(status="running", job="cleanup_run_history", worker="worker@two:1")

    assert not watch.why_sick(1)


def test_only_who_is_sick_without_a_break_ends(watch, monkeypatch, settings):
    settings.WORKER_STUCK_SECONDS = 60
    ended, now = [], [1000.0]
    monkeypatch.setattr(watch, "_end", lambda: ended.append(now[0]))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for at, why in [
        (1000, "sick"),
        (1050, "sick"),
        (1055, ""),
        (1056, "sick"),
        (1100, "sick"),
        (1117, "sick"),
    ]:
        now[0] = float(at)
        watch.judge(why)

    assert ended == [1117.0]


def test_the_row_tells_since_when_the_loop_has_not_run(watch):
    watch._listening_at = time.monotonic() - 100
    watch.write_row()

    row = WorkerProcess.objects.get()
    assert 99 < (row.seen_at - row.listening_at).total_seconds() < 101
    assert 299 < (row.seen_at - row.taken_at).total_seconds() < 301
