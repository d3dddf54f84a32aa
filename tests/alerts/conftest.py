"""A clock in hand, a condition that a test sets, and receivers of messages."""

from datetime import timedelta

import pytest
from django.utils import timezone

from alerts import evaluation, sending
from alerts.rules import Found, Rule
from database import clock
from tests.alerts import sinks


class Hand:
    """The database's clock, which a test moves."""

    def __init__(self):
        self.now = timezone.now().replace(microsecond=0)

    def forward(self, **by):
        self.now += timedelta(**by)


class Condition:
    """A rule whose findings a test sets."""

    def __init__(self, hand, *ids, code="failed", severity="critical"):
        self.hand, self.ids, self.cause = hand, list(ids), "why"
        self.rule = Rule(code, code, severity, timedelta(), self.find)

    def find(self, now):
        for key in self.ids:
            yield Found("x.Y", key, f"name {key}", self.cause)

    def look(self):
        evaluation.apply(self.rule, self.hand.now)


@pytest.fixture
def hand(monkeypatch):
    hand = Hand()
    monkeypatch.setattr(clock, "database_now", lambda: hand.now)
    return hand


@pytest.fixture
def condition(hand):
    return Condition(hand)


@pytest.fixture
def later(hand):
    """Move the clock, and send what is due then, in steps of the evaluation."""

    def later(**by):
        end = hand.now + timedelta(**by)
        while hand.now < end:
            hand.now = min(end, hand.now + timedelta(seconds=30))
            sending.SENDER.send_due()

    return later


@pytest.fixture
def mails(settings):
    """A real mail server, and the one that the console uses."""
    with sinks.mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
        settings.ALERT_EMAILS = ["ops@example.org"]
        yield sink


@pytest.fixture
def hooks(settings):
    """A real web server, which webhooks may reach."""
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with sinks.web_sink() as sink:
        yield sink


@pytest.fixture
def service(settings):
    """A service that is pinged, with the paths of its requests; its address contains ``sinks.SECRET``."""
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with sinks.ping_sink() as sink:
        sink.url = f"http://127.0.0.1:{sink.server_address[1]}/{sinks.SECRET}"
        yield sink
