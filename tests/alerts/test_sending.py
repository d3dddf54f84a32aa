"""What opens and closes is told once, at least once if a process dies, and never by two at once."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.db import connection

from alerts import evaluation, outbox, sending
from alerts.channels.answers import Answer
from alerts.models import Alert, Delivery
from alerts.outbox import COLLECT
from alerts.recipients import Directory
from database import clock
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db


def events(hooks):
    return [body["event"] for _headers, _bytes, body in hooks.requests]


@pytest.mark.slow
def test_an_alert_is_mailed_once_when_it_opens_and_once_when_it_closes(condition, later, mails):
    factories.route()
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)
    condition.look()
    later(minutes=2)
    assert [mail["Subject"] for mail in mails.mails] == ["[critical] failed: name 1"]

    condition.ids = []
    condition.look()
    later(minutes=2)
    condition.look()
    later(days=2)

    subjects = [mail["Subject"] for mail in mails.mails]
    assert subjects == ["[critical] failed: name 1", "[critical] Over: failed: name 1"]
    assert {mail["To"] for mail in mails.mails} == {"ops@example.org"}
    assert "why" in mails.mails[0].get_content()
    assert Delivery.objects.filter(delivered_at__isnull=False, attempts=1).count() == 2


def test_a_mail_is_read_in_every_language_the_consoles_first(condition, later, mails, settings):
    settings.LANGUAGE_CODE = "zh-hans"
    factories.route()
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)

    body = mails.mails[0].get_content()
    assert 0 < body.index("自") < body.index("Since")


def test_a_refused_mail_is_sent_again_under_the_same_id(condition, later, mails):
    mails.answers = ["451 not now"]
    factories.route()
    condition.ids = ["1"]
    condition.look()
    later(seconds=60)
    assert "451" in Delivery.objects.get().answer

    later(minutes=1)

    one = Delivery.objects.get()
    assert (one.attempts, len(mails.mails)) == (2, 1)
    assert mails.mails[0]["Message-ID"].startswith(f"<{one.message}@")
    assert one.answer.startswith("The mail server 127.0.0.1:")


@pytest.mark.slow
def test_a_webhook_that_answers_500_and_then_200_is_told_once(condition, later, hooks):
    factories.webhook_route(url=hooks.url)
    hooks.answers = [(500, {}, "I am <ill>")]
    condition.ids = ["1"]
    condition.look()
    later(seconds=60)
    assert Delivery.objects.get().answer == "HTTP 500 I am <ill>"

    later(minutes=5)
    condition.ids = []
    condition.look()
    later(minutes=5)
    condition.look()
    later(days=2)

    assert events(hooks) == ["opened", "opened", "closed"]
    ids = [body["id"] for _headers, _bytes, body in hooks.requests]
    assert ids[0] == ids[1] != ids[2]
    told = list(Delivery.objects.order_by("pk").values_list("event", "attempts", "failed_at"))
    assert told == [("opened", 2, None), ("closed", 1, None)]


def test_an_end_waits_for_its_beginning(condition, later, hooks):
    factories.webhook_route(url=hooks.url)
    hooks.answers = [(503, {}, "")] * 4
    condition.ids = ["1"]
    condition.look()
    later(seconds=60)
    condition.ids = []
    condition.look()
    later(hours=1)

    assert events(hooks) == ["opened"] * 5 + ["closed"]


@pytest.mark.slow
def test_attempts_are_farther_and_farther_apart_and_end_after_24_hours(condition, later, hooks, hand):
    factories.webhook_route(url=hooks.url)
    hooks.answers = [(500, {}, "no")] * 1_000
    condition.ids = ["1"]
    condition.look()
    begin = hand.now
    waits = []
    while (one := Delivery.objects.get()).next_attempt_at:
        waits.append(one.next_attempt_at - hand.now)
        hand.now = one.next_attempt_at
        sending.SENDER.send_due()

    seconds = [round(wait.total_seconds()) for wait in waits]
    assert seconds[:9] == [60, 30, 60, 120, 240, 480, 960, 1920, 3600]
    assert set(seconds[9:]) == {3600}
    assert timedelta(hours=24) <= hand.now - begin < timedelta(hours=26)
    assert (one.failed_at, one.answer) == (hand.now, "HTTP 500 no")
    assert sending.SENDER.send_due() == 0


def test_a_process_that_dies_after_sending_lets_it_be_sent_again_with_the_same_id(condition, later, hooks):
    factories.webhook_route(url=hooks.url)
    condition.ids = ["1"]
    condition.look()
    condition.hand.forward(seconds=60)
    claim = sending.SENDER.claim_next(condition.hand.now)
    sending.SENDER.attempt(claim)  # and it stores nothing any more

    later(minutes=4)
    assert len(hooks.requests) == 1
    later(minutes=2)

    first, second = (body["id"] for _headers, _bytes, body in hooks.requests)
    assert first == second == str(Delivery.objects.get().message)
    assert Delivery.objects.get().delivered_at


def test_an_answer_that_comes_after_the_claim_has_ended_still_counts(condition, hooks, hand):
    factories.webhook_route(url=hooks.url)
    condition.ids = ["1"]
    condition.look()
    hand.forward(seconds=60)
    slow = sending.SENDER.claim_next(hand.now)
    hand.forward(minutes=6)
    other = sending.SENDER.claim_next(hand.now)
    assert other.first.message == slow.first.message

    sending.SENDER.store(slow, sending.SENDER.attempt(slow), hand.now)

    assert sending.SENDER.attempt(slow).is_delivered
    assert Delivery.objects.get().delivered_at == hand.now


def test_a_failure_that_comes_after_the_claim_has_ended_changes_nothing(condition, hooks, hand):
    factories.webhook_route(url=hooks.url)
    condition.ids = ["1"]
    condition.look()
    hand.forward(seconds=60)
    slow = sending.SENDER.claim_next(hand.now)
    hand.forward(minutes=6)
    other = sending.SENDER.claim_next(hand.now)

    sending.SENDER.store(slow, Answer("too late"), hand.now)

    assert Delivery.objects.get().claimed_until == other.until


KILLED = """
import os, signal, django
django.setup()
from alerts import outbox, sending
from datetime import timedelta
sending.SENDER.store = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sending.SENDER.send_due()
"""


def test_what_waits_when_the_mail_server_is_taken_away_is_not_called_delivered(
    condition, later, mails, settings
):
    mails.answers = ["451 not now"]
    factories.route()
    condition.ids = ["1"]
    condition.look()
    later(seconds=60)
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    later(minutes=1)

    one = Delivery.objects.get()
    assert (one.delivered_at, one.answer) == (None, "EMAIL_URL names no mail server.")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_process_killed_between_sending_and_storing_loses_nothing(hooks):
    alert = factories.alert()
    row = factories.delivery(
        alert=alert, channel="webhook", recipient="x", route=factories.webhook_route(url=hooks.url)
    )
    environment = {
        **os.environ,
        "DATABASE_URL": factories.database_url(),
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "WEBHOOKS_TO_PRIVATE_ADDRESSES": "on",
        "FIELD_ENCRYPTION_KEY": configured.FIELD_ENCRYPTION_KEY[0],
        "READ_DOT_ENV": "off",
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], env=environment, cwd=configured.BASE_DIR, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    row.refresh_from_db()
    assert (row.delivered_at, row.attempts, len(hooks.requests)) == (None, 1, 1)
    assert sending.SENDER.send_due() == 0  # the dead process's claim

    Delivery.objects.update(claimed_until=row.created_at)
    assert sending.SENDER.send_due() == 1

    first, second = (body["id"] for _headers, _bytes, body in hooks.requests)
    assert first == second == str(row.message)
    row.refresh_from_db()
    assert (row.attempts, bool(row.delivered_at)) == (2, True)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_that_send_at_once_each_message_is_claimed_by_one():
    for number in range(30):
        factories.delivery(cause_key=str(number))

    def claims(_number):
        found = []
        try:
            while claim := sending.SENDER.claim_next(clock.database_now()):
                found.append(claim.first.message)
        finally:
            connection.close()
        return found

    with ThreadPoolExecutor(6) as pool:
        claimed = [message for found in pool.map(claims, range(6)) for message in found]

    assert len(claimed) == len(set(claimed)) == 30
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}


def test_deliveries_are_written_with_the_alert_or_not_at_all(condition, monkeypatch, mails):
    factories.route()
    condition.ids = ["1"]
    condition.look()
    kept = Alert.objects.get()

    def fail(*_args):
        raise RuntimeError

    monkeypatch.setattr(evaluation, "tell_opened", fail)
    monkeypatch.setattr(evaluation, "tell_closed", fail)
    condition.ids = ["1", "2"]
    with pytest.raises(RuntimeError):
        condition.look()
    assert Alert.objects.get() == kept
    condition.ids = []
    with pytest.raises(RuntimeError):
        condition.look()

    assert Alert.objects.open().get() == kept


def test_the_same_event_is_written_once_for_one_recipient(condition, mails):
    factories.route()
    condition.ids = ["1"]
    condition.look()

    outbox.tell_opened(Alert.objects.get(), Directory(), condition.hand.now)

    assert Delivery.objects.count() == 1


# --- One cause, one message ---------------------------------------------------------------------


def test_five_alerts_of_one_cause_within_a_minute_are_one_message(condition, later, mails, hooks):
    factories.route()
    factories.webhook_route(url=hooks.url)
    for number in range(5):
        condition.ids.append(str(number))
        condition.cause = f"Reddit answered 503 after {number} s"
        condition.look()
        later(seconds=10)
    later(minutes=2)

    assert [mail["Subject"] for mail in mails.mails] == ["[critical] failed: name 0, and 4 more"]
    ((_headers, _bytes, body),) = hooks.requests
    assert [alert["subject"]["name"] for alert in body["alerts"]] == [f"name {n}" for n in range(5)]
    assert body["count"] == 5


def test_other_causes_other_recipients_and_other_events_have_their_own_messages(
    condition, later, mails, settings
):
    settings.ALERT_EMAILS = ["a@example.org", "b@example.org"]
    factories.route()
    condition.ids = ["1"]
    condition.look()
    condition.ids, condition.cause = ["1", "2"], "another"
    condition.look()
    later(minutes=2)

    told = sorted((mail["To"], mail["Subject"]) for mail in mails.mails)
    assert told == [
        (to, f"[critical] failed: name {number}") for to in settings.ALERT_EMAILS for number in (1, 2)
    ]


def test_a_message_of_the_same_cause_waits_for_a_quarter_of_an_hour(condition, later, mails):
    factories.route()
    condition.ids = ["1"]
    condition.look()
    later(minutes=1)
    for number in range(2, 7):
        condition.ids.append(str(number))
        condition.look()
        later(minutes=2)
    assert len(mails.mails) == 1

    later(minutes=6)

    assert [mail["Subject"] for mail in mails.mails][1:] == ["[critical] failed: name 2, and 4 more"]


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [1, 10])
def test_a_storm_of_a_thousand_failures_of_one_cause_is_three_messages_at_most(hand, later, mails, minutes):
    factories.route()
    evaluator = evaluation.Evaluator()
    evaluator.evaluate()
    bots = [factories.bot_config() for _ in range(40)]
    for _part in range(10):
        for number in range(100):
            factories.job_run(
                status="failed",
                job="scrape_now",
                params={"config": bots[number % len(bots)].pk},
                error=f"HTTP 503 from server {number}",
                queued_at=hand.now,
                finished_at=hand.now,
            )
        evaluator.evaluate()
        later(seconds=6 * minutes)
    assert JobRun.objects.count() == 1_000
    for _ in range(4):
        later(minutes=10)
        evaluator.evaluate()
    opened = [mail for mail in mails.mails if "failed" in mail["Subject"]]
    assert 1 <= len(opened) <= 2
    assert Alert.objects.open().filter(rule="failed").count() >= 30

    for bot in bots:
        factories.job_run(job="scrape_now", params={"config": bot.pk}, finished_at=hand.now)
    evaluator.evaluate()
    later(minutes=5)

    told = [mail["Subject"] for mail in mails.mails if "failed" in mail["Subject"]]
    assert len(told) <= 3
    assert "Over" in told[-1]
    assert timedelta(minutes=1) >= COLLECT
