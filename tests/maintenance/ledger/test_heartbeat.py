"""The heartbeat thread of a job; real processes are killed in tests/chaos/test_hanging.py."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from maintenance.ledger import heartbeat, interventions, performing, requests
from maintenance.models import JobRun
from maintenance.scheduling import recovery
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT = timedelta(seconds=0.5)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(heartbeat, "JUST_ENDED_SECONDS", 0.1)


@pytest.fixture
def killed():
    """An event that is set when the process would have been killed; it ends the hanging job."""
    return threading.Event()


def performed(slug, killed, **options):
    run = requests.request_run(job=slug, trigger="command", send=False)
    performing.perform(run, kill=killed.set, **options)
    run.refresh_from_db()
    return run


@pytest.mark.slow
def test_a_run_at_its_limit_is_ended_with_the_place_where_it_hangs(declare, killed):
    sessions = []

    def hang_here(ctx):
        """Hang."""
        sessions.append(factories.session(status="running", run=ctx.run))
        killed.wait(20)

    run = performed(declare(hang_here, time_limit=LIMIT), killed, hands_on=True)

    assert killed.is_set()
    assert (run.status, run.reason) == ("interrupted", "time_limit")
    assert "in hang_here" in run.traceback
    assert JobRun.objects.get(retry_of=run).not_before > timezone.now()
    sessions[0].refresh_from_db()
    assert sessions[0].status == "interrupted"


def test_a_run_to_be_stopped_by_force_is_cancelled_where_it_is(declare, killed):
    def hang(ctx):
        """Hang, and be stopped by force."""
        JobRun.objects.filter(pk=ctx.run.pk).update(cancel_requested_at=timezone.now() - timedelta(minutes=1))
        interventions.force_stop_run(JobRun.objects.get(pk=ctx.run.pk), by=factories.superuser())
        killed.wait(20)

    run = performed(declare(hang), killed)

    assert (run.status, run.reason, "by force" in run.error) == ("cancelled", "operator", True)
    assert killed.is_set()
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_nothing_that_ends_in_time_is_killed(declare, killed):
    def work(ctx):
        """Work."""

    assert performed(declare(work, time_limit=LIMIT), killed).status == "succeeded"
    assert not killed.is_set()


def reach_checkpoints(ctx):
    """Work for four times the limit, in pieces."""
    for piece in range(40):
        threading.Event().wait(LIMIT.total_seconds() / 10)
        ctx.checkpoint()
        ctx.save_cursor(piece=piece)


@pytest.mark.slow
def test_a_commands_limit_counts_from_checkpoint_to_checkpoint(declare, killed):
    assert performed(declare(reach_checkpoints, time_limit=LIMIT), killed).status == "succeeded"
    assert not killed.is_set()


@pytest.mark.slow
def test_a_workers_run_is_handed_on_before_its_limit(declare, killed):
    run = performed(declare(reach_checkpoints, time_limit=3 * LIMIT), killed, hands_on=True)

    assert (run.status, run.reason) == ("interrupted", "handed_on")
    assert not killed.is_set()
    assert JobRun.objects.get(retry_of=run).not_before is None


@pytest.mark.slow
def test_a_run_that_ends_while_its_end_is_written_is_not_killed(declare, killed, monkeypatch):
    ending = threading.Event()

    def end(job, run, reason, where):
        ending.set()
        return not wait_until(lambda: JobRun.objects.get(pk=run.pk).is_final, timeout=10, every=0.01)

    monkeypatch.setattr(performing, "_end_by_force", end)
    monkeypatch.setattr(heartbeat, "JUST_ENDED_SECONDS", 10)

    def end_just_then(ctx):
        """End at the limit."""
        ending.wait(10)

    assert performed(declare(end_just_then, time_limit=LIMIT), killed, hands_on=True).status == "succeeded"
    assert not killed.is_set()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no locks of tables")
def test_a_table_locked_for_longer_than_the_silence_is_no_lost_worker(declare, killed, settings):
    settings.HEARTBEAT_SECONDS = 0.2  # silent after 1.2 s
    locked, over = threading.Event(), threading.Event()

    def lock():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE maintenance_jobrun IN ACCESS EXCLUSIVE MODE")
            locked.set()
            over.wait(2.5)
        connection.close()

    def recover():
        while not over.wait(0.1):
            recovery.interrupt_lost_runs()
        connection.close()

    def be_locked_out(ctx):
        """Work while the ledger is locked."""
        threads[0].start()
        locked.wait(10)
        threads[1].start()
        threads[0].join()
        ctx.save_cursor(step=1)
        over.wait(0.5)

    threads = [threading.Thread(target=lock), threading.Thread(target=recover)]
    run = performed(declare(be_locked_out), killed)
    over.set()
    threads[1].join()

    assert (run.status, run.cursor["step"]) == ("succeeded", 1)
