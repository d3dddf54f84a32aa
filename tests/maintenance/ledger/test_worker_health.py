"""The state of the workers in the database, and on the dashboard."""

from datetime import timedelta

import pytest
from django.urls import reverse

from database import clock
from maintenance.ledger.worker_health import WorkersState, worker_health
from maintenance.models import WorkerProcess
from tests.kit import factories

pytestmark = pytest.mark.django_db

LONG = timedelta(minutes=5)


def a_worker(name="worker@one", *, seen=timedelta(0), listening=timedelta(0), taken=None):
    now = clock.now()
    return WorkerProcess.objects.create(
        name=name,
        pid=1,
        started_at=now - LONG,
        seen_at=now - seen,
        listening_at=None if listening is None else now - listening,
        taken_at=None if taken is None else now - taken,
    )


def a_waiting_run(since=LONG, **values):
    return factories.job_run(status="queued", queued_at=clock.now() - since, sent_at=clock.now(), **values)


def dashboard(client):
    client.force_login(factories.superuser())
    return client.get(reverse("admin:index")).content.decode()


@pytest.mark.slow
def test_without_a_worker_the_dashboard_says_what_to_do_and_what_waits(client):
    a_worker(seen=LONG)
    a_waiting_run()

    assert (worker_health().state, worker_health().waiting) == (WorkersState.NONE, 1)
    assert worker_health().queue_age >= LONG
    page = dashboard(client)
    assert "No run starts: start a worker." in page
    assert "queue: 1, the oldest waits for" in page


@pytest.mark.slow
@pytest.mark.parametrize("listening", [None, LONG])
def test_workers_that_do_not_listen_are_no_workers(client, listening):
    a_worker(listening=listening)

    assert worker_health().state == WorkersState.UNRESPONSIVE
    page = " ".join(dashboard(client).split())
    assert "the workers do not listen to the broker" in page
    assert "if it answers, the workers stand still" in page


@pytest.mark.slow
def test_workers_that_take_nothing_although_work_waits_are_named(client):
    a_worker(taken=LONG)
    a_waiting_run()

    assert worker_health().state == WorkersState.STUCK
    assert "no worker takes them" in dashboard(client)


@pytest.mark.parametrize("taken", [timedelta(seconds=1), LONG])
def test_workers_that_are_busy_are_well(taken):
    a_worker(taken=taken)
    a_waiting_run(job="cleanup_sessions")
    if taken == LONG:  # with a long run
        factories.job_run(status="running", job="cleanup_tokens")

    assert worker_health().state == WorkersState.BUSY
    assert worker_health().is_well


def test_what_waits_for_something_else_waits_for_no_worker():
    a_worker()
    factories.job_run(status="running", job="cleanup_tokens", concurrency_key="cleanup_tokens")
    a_waiting_run(job="cleanup_tokens", concurrency_key="cleanup_tokens")
    a_waiting_run(job="cleanup_sessions", not_before=clock.now() + LONG)

    assert (worker_health().state, worker_health().waiting) == (WorkersState.WELL, 0)


def test_a_run_waits_since_its_time_has_come():
    a_waiting_run(not_before=clock.now() - timedelta(seconds=10))

    assert timedelta(seconds=10) <= worker_health().queue_age < timedelta(seconds=60)


@pytest.mark.slow
def test_the_dashboard_says_how_many_of_the_workers_listen(client):
    a_worker(taken=timedelta(seconds=3))
    a_worker("worker@two", listening=LONG)

    assert "Workers 1/2" in " ".join(dashboard(client).split())
