"""The Celery tasks: what they do beyond calling ``perform``."""

import contextlib
from datetime import timedelta

import pytest
from celery.exceptions import Reject
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]  # its stubs do not know it
from django.db import connection
from django.utils import timezone

from console.celery import app
from maintenance import registry, tasks
from maintenance.ledger import limits, performing, requests
from maintenance.models import JobRun
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run():
    factories.post(created_at=timezone.now() - timedelta(days=100))
    return requests.request_run(job="purge_old_content", trigger="command", send=False)


def work(run):
    task = app.tasks["maintenance.purge_old_content"]
    return task.apply(args=(run.pk,), throw=True)


def test_a_run_goes_on_as_its_next_attempt_before_the_time_limit_kills_it(run, monkeypatch):
    monkeypatch.setattr(performing, "HAND_ON_SHARE", 1e-9)

    work(run)

    run.refresh_from_db()
    assert (run.status, run.reason) == ("interrupted", "handed_on")
    assert JobRun.objects.filter(retry_of=run, status="queued").exists()
    assert RedditPost.objects.count() == 1


def test_a_worker_that_is_stopping_takes_no_run(run, monkeypatch):
    monkeypatch.setattr(tasks, "_stopping", type("Byte", (), {"value": 1})())

    with pytest.raises(Reject):
        app.tasks["maintenance.purge_old_content"].run(run.pk)

    run.refresh_from_db()
    assert run.status == "queued"


def test_the_message_of_a_deleted_run_does_nothing(run):
    JobRun.objects.filter(pk=run.pk).delete()

    work(run)

    assert RedditPost.objects.count() == 1


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite's connections cost nothing and are not kept"
)
def test_a_worker_keeps_its_connection_from_task_to_task_unless_it_is_broken():
    task, celery = app.tasks["maintenance.purge_old_content"], DjangoWorkerFixup(app)

    def server_process():
        celery.on_task_prerun(task)
        task.run(-1)  # no run has this id, so the task only queries for it
        celery.on_task_postrun(task)
        return connection.connection.info.backend_pid

    first = server_process()
    assert server_process() == first

    other = connection.copy()
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert server_process() != first


def test_celerys_own_limit_lies_between_the_jobs_and_the_brokers():
    redelivered_after = app.conf.broker_transport_options["visibility_timeout"]

    for job in registry.jobs():
        assert job.time_limit.total_seconds() < app.tasks[job.task_name].time_limit < redelivered_after
    assert registry.TIME_LIMIT_MAX.total_seconds() + limits.DEEP_HANG_SECONDS < redelivered_after
