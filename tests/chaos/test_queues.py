"""Queues apart: one kind of job waits for its own workers only, and a change of queues loses no run."""

import json

import pytest

from console.local import processes
from maintenance.ledger import dispatch, publishing, requests
from maintenance.models import JobRun, WorkerProcess
from tests.chaos.services import Service, beat, worker
from tests.chaos.test_messages import envelope
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = {"HEARTBEAT_SECONDS": "0.5", "WORKER_STUCK_SECONDS": "3"}
KEYS = [f"{name}{suffix}" for name in processes.QUEUES for suffix in ("", "\x06\x166")]


def worker_of(*queues, concurrency=1, name="one"):
    service = Service(processes.worker(concurrency=concurrency, queues=queues, name=name), **QUICK)
    service.wait_for(" ready.")
    return service


def has_ended(run):
    return JobRun.objects.get(pk=run.pk).is_final


def request(job="cleanup_login_sessions"):
    return requests.request_run(job=job, trigger="api")


def test_scraping_waits_for_its_own_workers_and_nobody_else_does(broker):
    with worker_of("maintenance", "celery") as others:
        scrape, purge = request("auto_scraping"), request()
        wait_until(lambda: has_ended(purge), timeout=30)
        # Longer than a worker may take nothing although work waits: it is not its work.
        wait_until(lambda: WorkerProcess.objects.filter(queues="maintenance,celery").exists(), timeout=10)
        again = request()
        wait_until(lambda: has_ended(again), timeout=30)
        late = request("cleanup_tokens")
        wait_until(lambda: has_ended(late), timeout=30)
        assert others.process.poll() is None
        assert JobRun.objects.get(pk=scrape.pk).status == "queued"
        assert publishing.waiting_by_queue() == {"maintenance": 0, "scraping": 1, "celery": 0}
        with worker_of("scraping", name="two"):
            wait_until(lambda: has_ended(scrape), timeout=30)


def test_what_somebody_asked_for_is_taken_before_what_schedules_asked_for(broker):
    task = factories.schedule()
    scheduled = []
    for number in range(6):
        run = factories.job_run(
            job="cleanup_login_sessions",
            status="queued",
            trigger="schedule",
            schedule=task,
            scheduled_for=task.date_changed.replace(microsecond=number),
        )
        dispatch.publish(run)
        scheduled.append(run)
    asked = request("cleanup_tokens")
    with worker_of(*processes.QUEUES):
        wait_until(lambda: all(has_ended(run) for run in [*scheduled, asked]), timeout=60)

    began = {run.pk: JobRun.objects.get(pk=run.pk).started_at for run in [*scheduled, asked]}
    assert min(began, key=lambda pk: began[pk]) == asked.pk
    assert {JobRun.objects.get(pk=run.pk).status for run in scheduled} == {"succeeded"}


def test_a_broker_that_forgets_all_queues_loses_no_run(broker):
    task = factories.schedule()
    runs = [request(), request("auto_scraping"), request("cleanup_tokens")]
    late = factories.job_run(
        job="cleanup_events",
        status="queued",
        trigger="schedule",
        schedule=task,
        scheduled_for=task.date_changed,
    )
    dispatch.publish(late)
    assert sum(broker.llen(key) for key in KEYS) == 4
    broker.delete(*KEYS)
    JobRun.objects.update(sent_at=late.queued_at.replace(year=late.queued_at.year - 1))

    with worker(**QUICK), beat(HEARTBEAT_SECONDS="0.5"):
        wait_until(lambda: all(has_ended(run) for run in [*runs, late]), timeout=60)


def test_a_message_that_an_earlier_release_sent_is_taken(broker):
    run = factories.job_run(job="cleanup_login_sessions", status="queued", trigger="api")
    message = json.loads(envelope([[run.pk], {}, None]))
    message["headers"]["task"] = "maintenance.cleanup_login_sessions"
    broker.lpush("celery", json.dumps(message))

    with worker(**QUICK):
        wait_until(lambda: has_ended(run), timeout=30)

    assert JobRun.objects.get(pk=run.pk).status == "succeeded"
