"""No process waits for a broker that does not answer, and no message is lost because of that."""

import os
import re
import threading
import time

import pytest
from django.conf import settings
from django.urls import reverse

from maintenance.ledger import publishing, requests
from maintenance.ledger.publishing import BrokerAway, Message, Publisher
from maintenance.models import JobRun
from maintenance.scheduling import recovery
from tests.chaos.servers import OwnBroker
from tests.kit import factories
from tests.kit.waiting import wait_until

MESSAGE = Message("maintenance.cleanup_tokens", [1])


# The publisher itself, and the scheduler, which sends tasks of other packages through it.
MAY_TALK_TO_THE_BROKER = {"maintenance/ledger/publishing.py", "maintenance/scheduling/beat.py"}
TALKS = re.compile(
    r"\.(apply_async|delay|send_task|connection_for_\w+|producer_or_acquire|producer_pool|control\.\w+)\("
)


def test_nobody_else_talks_to_the_broker():
    """Any other connection to the broker would have no deadline."""
    sources = [
        file
        for package in ("console", "maintenance", "scraping", "accounts")
        for file in (settings.BASE_DIR / package).rglob("*.py")
    ]
    talkers = {str(file.relative_to(settings.BASE_DIR)) for file in sources if TALKS.search(file.read_text())}

    assert talkers == MAY_TALK_TO_THE_BROKER


@pytest.fixture
def server(monkeypatch):
    """A private broker, to which this process publishes."""
    with OwnBroker() as server:
        monkeypatch.setattr(publishing, "_publisher", Publisher(server.url))
        yield server


def seconds(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def send_one():
    return publishing.send([MESSAGE])


def test_messages_go_out_in_order_and_are_counted(server):
    assert publishing.send([MESSAGE, MESSAGE]) == 2
    assert publishing.messages_waiting() == 2


@pytest.mark.slow
def test_a_broker_that_hangs_costs_its_first_caller_half_a_second_and_the_others_nothing(server):
    send_one()
    server.hang()

    assert seconds(send_one) < 1
    assert [seconds(send_one) < 0.1 for _ in range(20)] == [True] * 20
    assert send_one() == 0
    assert publishing.messages_waiting() is None


@pytest.mark.slow
def test_many_who_meet_a_broker_that_hangs_wait_side_by_side(server):
    send_one()
    server.hang()
    waited = []
    callers = [threading.Thread(target=lambda: waited.append(seconds(send_one))) for _ in range(8)]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert max(waited) < 1


@pytest.mark.slow
def test_a_broker_that_hung_is_used_again_as_soon_as_it_goes_on(server):
    server.hang()
    assert send_one() == 0

    server.go_on()

    wait_until(lambda: send_one() == 1, timeout=3 * publishing.SOCKET_SECONDS)


def test_a_broker_that_was_restarted_while_nobody_spoke_to_it_gets_the_next_message(server):
    assert send_one() == 1
    server.kill_and_empty()
    server.start()

    assert send_one() == 1
    assert publishing.messages_waiting() == 1


@pytest.mark.slow
def test_a_broker_that_takes_messages_one_by_one_and_slowly_is_left_after_a_while(server, monkeypatch):
    send = publishing.Line.send

    def send_slowly(*args):
        time.sleep(0.3)
        send(*args)

    monkeypatch.setattr(publishing.Line, "send", send_slowly)

    began = time.monotonic()
    count = publishing.send([MESSAGE] * 100)

    assert time.monotonic() - began < 2 * publishing.PATIENCE_IN_ALL_SECONDS
    assert 1 <= count < 15
    # The message that was being sent arrives, and no other one.
    time.sleep(1)
    assert count <= publishing.messages_waiting() <= count + 1


def test_what_the_work_raises_is_its_callers(server):
    with pytest.raises(ZeroDivisionError):
        publishing.ask(lambda _line, _errand: 1 / 0)

    assert send_one() == 1


def test_no_more_than_a_hundred_wait(server, monkeypatch):
    monkeypatch.setattr(publishing._publisher, "_start", lambda: None)  # no thread publishes
    monkeypatch.setattr(publishing._publisher, "_wait_for", lambda errand: errand)
    for _ in range(publishing.QUEUE_MAX):
        publishing.ask(lambda *_: None)

    with pytest.raises(BrokerAway):
        publishing.ask(lambda *_: None)


def test_a_forked_process_has_a_thread_of_its_own(server):
    assert send_one() == 1
    child = os.fork()
    if not child:
        publishing._publisher = Publisher(server.url)
        os._exit(0 if send_one() == 1 else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert publishing.messages_waiting() == 2


def test_a_fork_does_not_inherit_the_thread():
    before = publishing._publisher
    child = os.fork()
    if not child:
        os._exit(0 if publishing._publisher is not before else 1)

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_page_that_publishes_does_not_wait_for_a_broker_that_hangs(server, client):
    client.force_login(factories.superuser())
    server.hang()

    took = seconds(
        lambda: client.post(reverse("admin:maintenance_job_run", args=["cleanup_tokens"]), {"confirm": "yes"})
    )

    run = JobRun.objects.get()
    assert (run.status, run.sent_at) == ("queued", None)
    assert took < 2  # half a second for the broker, the rest for a slow machine


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_recovery_does_not_wait_for_a_broker_that_hangs_and_sends_what_waits_afterwards(server):
    run = requests.request_run(job="cleanup_tokens", trigger="admin", send=False)
    JobRun.objects.update(queued_at=run.queued_at - 2 * recovery.UNKNOWN_JOB_GRACE, sent_at=None)
    server.hang()
    assert seconds(recovery.republish) < 1
    run.refresh_from_db()
    assert run.sent_at is None

    server.go_on()

    wait_until(recovery.republish, timeout=3 * publishing.SOCKET_SECONDS)
    run.refresh_from_db()
    assert run.sent_at is not None
