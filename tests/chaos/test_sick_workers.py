"""Workers that look alive but do not work: each exits or is killed and is restarted, and the work is done."""

import signal
import time

import pytest

from console.celery import app
from console.local.processes import QUEUES
from maintenance.ledger import requests
from maintenance.ledger.worker_health import WorkersState, worker_health
from maintenance.models import JobRun, WorkerProcess
from tests.chaos.services import beat, worker
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

QUICK = {"HEARTBEAT_SECONDS": "0.5", "WORKER_STUCK_SECONDS": "2"}


def request():
    return requests.request_run(job="cleanup_tokens", trigger="api")


def succeeded(run):
    return JobRun.objects.filter(pk=run.pk, status="succeeded").exists()


def listening_worker():
    service = worker(**QUICK)
    wait_until(lambda: WorkerProcess.objects.filter(listening_at__isnull=False).exists(), timeout=30)
    return service


def assert_it_ends(service, *, because):
    began = time.monotonic()
    wait_until(lambda: service.process.poll() is not None, timeout=40)
    print(f"\nended itself {time.monotonic() - began:.1f} s after the work was requested")  # noqa: T201
    assert because in service.output


def test_a_worker_that_has_forgotten_the_queue_ends_itself():
    with listening_worker() as service:
        for name in QUEUES:
            app.control.cancel_consumer(name, reply=True, timeout=5)
        run = request()
        assert_it_ends(service, because="It takes no work although work waits")
    with worker(**QUICK):
        wait_until(lambda: succeeded(run), timeout=30)


def test_a_worker_that_stands_still_and_ignores_signals_ends_itself():
    with worker(include="tests.chaos.sick", **QUICK) as service:
        done = request()
        wait_until(lambda: succeeded(done), timeout=30)
        service.signal(signal.SIGURG)
        run = request()
        assert_it_ends(service, because="Its event loop stands still")
        assert "killing it" in service.output
    with worker(**QUICK), beat(HEARTBEAT_SECONDS="0.5"):
        wait_until(lambda: succeeded(run), timeout=60)


def test_a_worker_without_work_does_not_end_itself():
    with listening_worker() as service:
        time.sleep(
            3 * float(QUICK["WORKER_STUCK_SECONDS"])
        )  # there is no condition to wait for: nothing may happen
        assert service.process.poll() is None
        run = request()
        wait_until(lambda: succeeded(run), timeout=30)


def test_the_database_knows_a_worker_until_it_stops():
    with listening_worker() as service:
        run = request()
        wait_until(lambda: succeeded(run), timeout=30)
        wait_until(lambda: worker_health().taken_age is not None, timeout=10)
        health = worker_health()
        assert (len(health.listening), health.state) == (1, WorkersState.WELL)
        service.signal(signal.SIGTERM)
        service.process.wait(30)

    assert worker_health().state == WorkersState.NONE
