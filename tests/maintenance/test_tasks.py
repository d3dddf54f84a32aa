"""The Celery tasks: what they do beyond calling ``perform``."""

from datetime import timedelta

import pytest
from celery.exceptions import Reject
from django.utils import timezone

from console.celery import app
from maintenance import runs, tasks
from maintenance.models import JobRun
from scraping.models import RedditPost
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run():
    factories.post(created_at=timezone.now() - timedelta(days=100))
    return runs.request_run(job="purge_old_content", trigger="command", send=False)


def work(run):
    task = app.tasks["maintenance.purge_old_content"]
    return task.apply(args=[run.pk], throw=True)


def test_a_run_goes_on_as_its_next_attempt_before_the_time_limit_kills_it(run, monkeypatch):
    monkeypatch.setattr(tasks, "HAND_BACK_SECONDS", -1)

    work(run)

    run.refresh_from_db()
    assert (run.status, run.reason) == ("interrupted", "worker_stopped")
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
