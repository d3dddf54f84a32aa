"""People acknowledge and mute; nobody acknowledges: it escalates."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from alerts import decisions, evaluation
from alerts.follow_up import follow_up
from alerts.models import Alert, Delivery, Mute
from audit.models import Event
from console.roles import BOT_OWNERS, OPERATORS, VIEWERS
from tests.kit import factories

pytestmark = pytest.mark.django_db


def member(group):
    person = factories.user()
    person.groups.add(Group.objects.get(name=group))
    return person


@pytest.fixture
def looks(condition):
    """The evaluation of one rule, with what time brings about."""

    def look(*ids, **by):
        condition.ids = list(ids)
        condition.hand.forward(**by)
        condition.look()
        follow_up(condition.hand.now)

    return look


def told():
    return list(Delivery.objects.order_by("pk").values_list("event", "recipient"))


@pytest.fixture
def escalating(settings, mails):
    settings.ALERT_EMAILS = ["ops@example.org"]
    factories.route()
    boss = factories.superuser(email="boss@example.org")
    return factories.route(to="person", person=boss, escalates_after_minutes=10)


def test_who_may_decide():
    owner, other = member(BOT_OWNERS), member(BOT_OWNERS)
    theirs, general = factories.alert(config=factories.bot_config(owner=owner)), factories.alert()

    may = [
        [decisions.may_decide(alert, person) for alert in (theirs, general)]
        for person in (owner, other, member(VIEWERS), member(OPERATORS), factories.superuser())
    ]

    assert may == [[True, False], [False, False], [False, False], [True, True], [True, True]]
    for call in (
        lambda: decisions.acknowledge(theirs, by=other),
        lambda: decisions.mute(theirs, until=theirs.opened_at + timedelta(days=1), reason="x", by=other),
        lambda: decisions.unmute(theirs, by=other),
    ):
        with pytest.raises(PermissionDenied):
            call()
    assert not Event.objects.exists()


def test_an_alert_is_acknowledged_once_with_a_note():
    alert, ada = factories.alert(), factories.superuser(username="ada")
    decisions.acknowledge(alert, by=ada, note="on it")

    with pytest.raises(decisions.NotPossible):
        decisions.acknowledge(Alert.objects.get(), by=factories.superuser())

    kept = Alert.objects.get()
    assert (kept.acknowledged_by_name, kept.acknowledged_note) == ("ada", "on it")
    event = Event.objects.get()
    assert (event.verb, event.reason, event.actor_name) == ("alert.acknowledged", "on it", "ada")


def test_a_closed_alert_is_not_acknowledged():
    alert = factories.alert()
    alert.close(alert.opened_at)

    with pytest.raises(decisions.NotPossible, match="over"):
        decisions.acknowledge(alert, by=factories.superuser())


def test_an_alert_escalates_once_when_nobody_acknowledges_it(looks, escalating):
    looks("1")
    looks("1", minutes=9)
    assert told() == [("opened", "ops@example.org")]

    looks("1", minutes=1)
    looks("1", minutes=60)
    assert told()[1:] == [("escalated", "boss@example.org")]

    looks(minutes=1)
    assert sorted(told()[2:]) == [("closed", "boss@example.org"), ("closed", "ops@example.org")]


def test_an_acknowledged_alert_does_not_escalate(looks, escalating):
    looks("1", "2")
    decisions.acknowledge(Alert.objects.get(subject_id="1"), by=factories.superuser())

    looks("1", "2", minutes=20)

    escalated = Delivery.objects.filter(event="escalated")
    assert [row.alert.subject_id for row in escalated] == ["2"]


def test_a_muted_subject_says_nothing_until_the_mute_ends_by_itself(looks, escalating, condition):
    looks("1")
    looks(minutes=1)
    Delivery.objects.all().delete()
    alert = Alert.objects.get()
    decisions.mute(
        alert, until=condition.hand.now + timedelta(hours=1), reason="known", by=factories.superuser()
    )

    looks("1", "2", minutes=1)
    looks("1", "2", minutes=30)
    assert {row.alert.subject_id for row in Delivery.objects.all()} == {"2"}
    assert Alert.objects.open().filter(subject_id="1").exists()

    looks("1", "2", minutes=30)
    of_muted = Delivery.objects.filter(alert__subject_id="1")
    assert [row.event for row in of_muted] == ["opened"]
    looks("1", "2", minutes=10)
    assert [row.event for row in of_muted.order_by("pk")] == ["opened", "escalated"]


def test_a_muted_alert_that_is_over_before_the_mute_was_never_told(looks, escalating, condition):
    alert = factories.alert(rule="failed", subject_type="x.Y", subject_id="1")
    alert.close(alert.opened_at)
    decisions.mute(
        alert, until=condition.hand.now + timedelta(hours=1), reason="known", by=factories.superuser()
    )
    looks("1")
    looks(minutes=5)
    looks(hours=2)

    assert told() == []


def test_what_was_told_before_a_mute_is_told_to_be_over(looks, escalating, condition):
    looks("1")
    decisions.mute(
        Alert.objects.get(),
        until=condition.hand.now + timedelta(hours=1),
        reason="x",
        by=factories.superuser(),
    )
    looks("1", minutes=20)
    looks(minutes=1)

    assert [event for event, _recipient in told()] == ["opened", "closed"]


def test_a_second_mute_changes_the_end_and_a_mute_can_be_ended():
    alert, ada = factories.alert(), factories.superuser()
    decisions.mute(alert, until=alert.opened_at + timedelta(hours=1), reason="x", by=ada)
    decisions.mute(alert, until=alert.opened_at + timedelta(hours=9), reason="y", by=ada)
    assert (Mute.objects.get().reason, Mute.objects.get().until) == (
        "y",
        alert.opened_at + timedelta(hours=9),
    )

    decisions.unmute(alert, by=ada)

    assert not Mute.objects.exists()
    with pytest.raises(decisions.NotPossible):
        decisions.unmute(alert, by=ada)
    verbs = Event.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["alert.muted", "alert.muted", "alert.unmuted"]


@pytest.mark.parametrize("days", [-1, 36_500])
def test_a_mute_has_a_sensible_end(days):
    alert = factories.alert()
    with pytest.raises(ValueError, match="end"):
        decisions.mute(
            alert, until=alert.opened_at + timedelta(days=days), reason="x", by=factories.superuser()
        )

    assert not Mute.objects.exists()


def test_the_page_acknowledges_and_mutes(client):
    alert = factories.alert()
    client.force_login(member(OPERATORS))
    page = reverse("admin:alerts_alert_change", args=[alert.pk])
    assert "<h2>Acknowledge</h2>" in client.get(page).text

    client.post(reverse("admin:alerts_alert_acknowledge", args=[alert.pk]), {"note": "on <it>"})
    client.post(reverse("admin:alerts_alert_mute", args=[alert.pk]), {"hours": "4", "reason": "known"})

    shown = client.get(page).text
    assert "on &lt;it&gt;" in shown
    assert "known" in shown
    assert Mute.objects.get().until > Alert.objects.get().acknowledged_at + timedelta(hours=3)
    client.post(reverse("admin:alerts_alert_unmute", args=[alert.pk]))
    assert not Mute.objects.exists()


def test_who_may_only_look_sees_no_buttons_and_gets_403(client):
    alert = factories.alert()
    client.force_login(member(VIEWERS))

    shown = client.get(reverse("admin:alerts_alert_change", args=[alert.pk])).text
    assert "<h2>Acknowledge</h2>" not in shown
    assert "<h2>Mute</h2>" not in shown
    for name, data in {"acknowledge": {}, "mute": {"hours": 1, "reason": "x"}, "unmute": {}}.items():
        answer = client.post(reverse(f"admin:alerts_alert_{name}", args=[alert.pk]), data)
        assert answer.status_code == 403
    assert Alert.objects.get().acknowledged_at is None


@pytest.mark.slow
def test_what_was_selected_beyond_the_most_is_told_and_comes_next(client, monkeypatch):
    monkeypatch.setattr("alerts.admin.decisions.SELECTED_MAX", 2)
    alerts = [factories.alert(subject_id=str(number)) for number in range(3)]
    client.force_login(factories.superuser())
    everything = {"action": "acknowledge_selected", "select_across": "1", "_selected_action": [alerts[0].pk]}

    first, second = (
        client.post(reverse("admin:alerts_alert_changelist"), everything, follow=True).text
        for _time in range(2)
    )

    assert "2 alerts are acknowledged" in first
    assert "More than 2 alerts are selected: acknowledge again for the others." in first
    assert "1 alert is acknowledged" in second
    assert not Alert.objects.filter(acknowledged_at=None).exists()


def test_the_list_acknowledges_many_and_says_what_was_not_possible(client):
    alerts = [factories.alert() for _ in range(3)]
    alerts[0].close(alerts[0].opened_at)
    client.force_login(member(OPERATORS))

    answer = client.post(
        reverse("admin:alerts_alert_changelist"),
        {"action": "acknowledge_selected", "_selected_action": [alert.pk for alert in alerts[:2]]},
        follow=True,
    )

    assert "1 alert is acknowledged" in answer.text
    assert "It is over already." in answer.text
    acknowledged = Alert.objects.filter(acknowledged_at__isnull=False)
    assert [alert.pk for alert in acknowledged] == [alerts[1].pk]


def test_an_evaluation_does_what_time_brings_about(hand, monkeypatch, mails):
    factories.route()
    alert = factories.alert(rule="gone")
    monkeypatch.setattr(evaluation, "RULES", {})

    evaluation.Evaluator().evaluate()

    assert Delivery.objects.get().alert == alert
