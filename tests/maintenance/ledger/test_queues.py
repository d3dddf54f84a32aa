"""Each kind of job has its queue, and what somebody asked for goes before what a schedule asked for."""

from contextvars import ContextVar
from datetime import timedelta

import pytest
from django.conf import settings

from console.local import processes
from database import clock
from maintenance.explanations.runs import explain_run
from maintenance.ledger import dispatch, publishing
from maintenance.ledger.worker_health import WorkersState, worker_health
from maintenance.ledger.workers import Watch
from maintenance.models import WorkerProcess
from maintenance.registry import jobs
from maintenance.scheduling import recovery
from tests.kit import factories

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def sent(monkeypatch):
    """The messages that were sent."""
    sent = []

    def send(messages):
        sent.extend(messages)
        return len(messages)

    monkeypatch.setattr(publishing, "send", send)
    return sent


def queued(job="cleanup_tokens", **values):
    long_ago = clock.now() - LONG_AGO
    return factories.job_run(**{"job": job, "status": "queued", "queued_at": long_ago, **values})


def listening(name, queues=""):
    now = clock.now()
    return WorkerProcess.objects.create(
        name=name, queues=queues, started_at=now, seen_at=now, listening_at=now, taken_at=now
    )


def test_every_job_has_one_of_the_queues_that_workers_take():
    assert {job.queue for job in jobs()} == set(settings.JOB_QUEUES)
    assert {*settings.JOB_QUEUES, settings.OTHER_QUEUE} == set(processes.QUEUES)
    assert {job.slug for job in jobs() if job.queue == "scraping"} == {"auto_scraping", "scrape_now"}


def test_a_message_goes_to_its_queue_with_its_priority(sent):
    runs = [
        queued(),
        queued(scheduled_for=clock.now(), trigger="schedule"),
        queued("auto_scraping", scheduled_for=clock.now(), trigger="retry"),
        queued("auto_scraping", trigger="retry"),
    ]

    dispatch.publish_all(runs)

    assert [(message.queue, message.priority) for message in sent] == [
        ("maintenance", 0),
        ("maintenance", 6),
        ("scraping", 6),
        ("scraping", 0),
    ]


def test_behind_a_key_a_persons_run_is_next_and_then_the_one_that_waited_longest(sent):
    first, second = [queued(scheduled_for=clock.now(), concurrency_key="k") for _ in range(2)]
    asked = queued(concurrency_key="k")

    for run in (asked, first, second):
        dispatch.publish_next("k")
        assert sent[-1].args == [run.pk]
        run.cancel_queued(message="x")


def test_the_next_run_is_sent_in_the_context_of_its_caller(sent, monkeypatch):
    """Django's connections belong to it where an event loop runs: in another, the caller's lock would be waited for."""
    of_the_caller, seen = ContextVar("of_the_caller"), []
    monkeypatch.setattr(dispatch, "publish", lambda _run: seen.append(of_the_caller.get(None)))
    queued(concurrency_key="k")

    of_the_caller.set("here")
    dispatch.publish_next("k")

    assert seen == ["here"]


@pytest.mark.parametrize(
    ("waiting", "resent"),
    [
        ({"maintenance": 0, "scraping": 0, "celery": 0}, ["maintenance", "scraping"]),
        ({"maintenance": 0, "scraping": 3, "celery": 0}, ["maintenance"]),
        ({"maintenance": 1, "scraping": 0, "celery": 0}, ["scraping"]),
        ({"maintenance": 0, "scraping": 0, "celery": 1}, []),
        (None, ["maintenance", "scraping"]),
    ],
)
def test_a_busy_queue_does_not_keep_a_lost_message_of_another_from_being_sent_again(
    sent, monkeypatch, waiting, resent
):
    monkeypatch.setattr(publishing, "waiting_by_queue", lambda: waiting)
    for job in ("cleanup_tokens", "auto_scraping"):
        queued(job, sent_at=clock.now() - LONG_AGO)

    recovery.republish()

    assert sorted(message.queue for message in sent) == resent


def test_after_some_time_a_message_is_sent_again_whatever_waits(sent, monkeypatch):
    monkeypatch.setattr(publishing, "waiting_by_queue", lambda: {"maintenance": 1})
    queued(sent_at=clock.now() - timedelta(seconds=recovery.DOUBTFUL_SECONDS + 1))

    assert recovery.republish() == 1


def test_a_worker_is_not_sick_because_another_queue_waits(watch):
    queued("auto_scraping", sent_at=clock.now() - LONG_AGO)
    others = Watch(name="one", concurrency=2, pids=list, queues=["maintenance"])
    others._started_at = watch._started_at

    assert "takes no work" in watch.why_sick(1)
    assert not others.why_sick(1)


def test_a_queue_without_a_worker_is_told_with_its_name():
    listening("one", "maintenance,celery")
    run = queued("auto_scraping")

    health = worker_health()

    assert (health.state, health.unserved, health.is_well) == (WorkersState.UNSERVED, ["scraping"], False)
    causes = explain_run(run)
    assert causes[0].code == "queue_unserved"
    assert "scraping" in causes[0].text
    assert explain_run(queued())[0].code != "queue_unserved"


@pytest.mark.parametrize("queues", [["maintenance", "scraping"], [""], ["scraping,celery,maintenance"]])
def test_workers_that_take_all_queues_between_them_are_well(queues):
    for number, names in enumerate(queues):
        listening(f"worker{number}", names)

    assert worker_health().state == WorkersState.WELL
