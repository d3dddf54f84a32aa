"""The ping says that rules are checked, and stays out when they are not."""

import pytest

from alerts import evaluation, watch
from alerts.ping import Pinger
from tests.alerts import sinks

pytestmark = pytest.mark.django_db


@pytest.fixture
def pings(settings):
    """A web server that is pinged."""
    with sinks.web_sink() as sink:
        settings.DEAD_MAN_URL = sink.url
        yield sink


def test_it_is_sent_once_a_minute(pings, hand):
    pinger = Pinger()
    sent = []
    for _ in range(7):
        sent.append(pinger.ping())
        hand.forward(seconds=20)

    assert sent == [True, False, False, True, False, False, True]
    assert len(pings.requests) == 3


def test_it_follows_an_evaluation_and_stays_out_without_one(pings, hand, monkeypatch):
    one = watch.Watch(lambda: True)
    one.deliver()
    assert pings.requests == []

    one.look()
    one.deliver()
    hand.forward(minutes=2)
    one.deliver()
    assert len(pings.requests) == 1

    monkeypatch.setattr(evaluation, "follow_up", lambda _now: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.look()
    one.deliver()
    assert len(pings.requests) == 1


def test_without_an_address_and_without_an_answer_nothing_breaks(settings, caplog):
    assert not Pinger().ping()
    settings.DEAD_MAN_URL = "http://127.0.0.1:1/"

    assert not Pinger().ping()
    assert "ping failed" in caplog.text
