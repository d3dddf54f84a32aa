"""Open alerts, and messages that were given up, as lines of "Needs you"."""

import pytest
from django.utils import timezone

from alerts.rules import RULES
from console.needs.alerts import SAID_ELSEWHERE
from console.roles import BOT_OWNERS
from tests.console.needs.test_needs import HOUR, lines, member, served, texts
from tests.kit import factories

__all__ = ["served"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded", "served")]


def test_an_open_alert_is_a_line_unless_another_line_says_the_same_or_somebody_looks_after_it():
    boss = factories.superuser()
    factories.alert(rule="failed", subject_name="said by the runs")
    factories.alert(rule="late", subject_name="A", cause="why")
    factories.alert(rule="late", subject_name="B", cause="why")
    closed = factories.alert(rule="late", subject_name="over")
    closed.close(closed.opened_at)
    factories.alert(rule="late", subject_name="C", acknowledged_at=timezone.now(), acknowledged_by_name="ada")
    muted = factories.mute(rule="late")
    factories.alert(rule="late", subject_name="D", subject_id=muted.subject_id)

    (line,) = lines(boss)

    assert (line.text, line.figures) == ("Late: A, B", ("why",))


def test_an_owner_sees_the_alerts_of_their_bots_only():
    owner = member(BOT_OWNERS)
    factories.alert(rule="silent", config=factories.bot_config(owner=owner), subject_name="mine")
    factories.alert(rule="silent", config=factories.bot_config(), subject_name="theirs")
    factories.alert(rule="late", subject_name="the service")

    assert texts(owner) == ["Silent: mine"]


def test_a_message_that_was_given_up_is_a_line_for_a_day():
    now = timezone.now()
    boss, given_up = (
        factories.superuser(),
        factories.delivery(next_attempt_at=None, failed_at=now, answer="HTTP 500"),
    )
    factories.delivery()
    factories.delivery(next_attempt_at=None, failed_at=now - 25 * HOUR)

    (line,) = lines(boss)
    assert (line.text, line.error) == ("1 message about an alert could not be delivered", given_up.answer)
    assert texts(member(BOT_OWNERS)) == []


def test_every_rule_is_said_by_a_line_of_its_own_or_by_its_alert():
    assert set(SAID_ELSEWHERE) < set(RULES)
