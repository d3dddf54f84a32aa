"""The list of alerts: who sees which."""

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.urls import reverse

from adminkit.templatetags.display import moment
from alerts.models import Alert
from console.roles import BOT_OWNERS, OPERATORS
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]


def member(group):
    person = factories.user()
    person.groups.add(Group.objects.get(name=group))
    return person


@pytest.fixture
def listed(client):
    def names(person, query=""):
        client.force_login(person)
        answer = client.get(reverse("admin:alerts_alert_changelist") + query)
        return [alert.subject_name for alert in answer.context["cl"].result_list]

    return names


def test_an_operator_sees_all_and_an_owner_those_of_their_bots(listed):
    owner = member(BOT_OWNERS)
    factories.alert(config=factories.bot_config(owner=owner), subject_name="mine")
    factories.alert(config=factories.bot_config(), subject_name="another's")
    factories.alert(subject_name="the service")

    assert listed(member(OPERATORS)) == ["the service", "another's", "mine"]
    assert listed(owner) == ["mine"]


@pytest.mark.parametrize(
    ("kind", "stored", "shown"),
    [
        ("maintenance.JobRun", "purge_old_content #7", "清除旧内容 #7"),
        ("maintenance.Job", "cleanup_login_sessions", "清理登录会话"),
        ("maintenance.Job", "Cleanup login sessions", "清理登录会话"),
        ("django_celery_beat.PeriodicTask", "Cleanup login sessions", "清理登录会话"),
        ("django_celery_beat.PeriodicTask", "Nightly #2", "Nightly #2"),
    ],
)
def test_a_subject_has_its_title_in_the_readers_language(client, kind, stored, shown):
    alert = factories.alert(subject_type=kind, subject_name=stored)
    client.force_login(factories.superuser())
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"

    for address in (
        reverse("admin:alerts_alert_changelist"),
        reverse("admin:alerts_alert_change", args=[alert.pk]),
    ):
        assert shown in client.get(address).content.decode()


def test_a_foreign_alert_gets_the_same_answer_as_a_missing_one(client):
    foreign = factories.alert(config=factories.bot_config())
    client.force_login(member(BOT_OWNERS))

    answers = [client.get(reverse("admin:alerts_alert_change", args=[pk])) for pk in (foreign.pk, 999_999)]

    assert [answer.status_code for answer in answers] == [404, 404]


def test_the_list_is_filtered_by_state_and_rule(listed):
    person = factories.superuser()
    closed = factories.alert(subject_name="closed")
    closed.close(closed.opened_at)
    factories.alert(subject_name="open", rule="missed")

    assert listed(person, "?state=open") == listed(person, "?rule=missed") == ["open"]
    assert listed(person, "?state=closed") == ["closed"]


def test_the_page_shows_the_cause_and_nobody_edits_it(client):
    alert = factories.alert(cause="Reddit answered <503>")
    client.force_login(factories.superuser())
    address = reverse("admin:alerts_alert_change", args=[alert.pk])

    assert "Reddit answered &lt;503&gt;" in client.get(address).text
    assert client.post(address, {"subject_name": "y"}).status_code == 403
    assert Alert.objects.get().subject_name == "x"


def test_a_delivery_names_its_alert_in_the_readers_language(client):
    factories.delivery(alert=factories.alert(rule="longer_than_usual", subject_name="Cleanup tokens"))
    client.force_login(factories.superuser())
    address = reverse("admin:alerts_delivery_changelist")

    assert ">Longer than usual: Cleanup tokens</a>" in client.get(address).text
    chinese = client.get(address, headers={"accept-language": "zh-hans"}).text
    assert "longer" not in chinese.lower().replace("longer_than_usual", "")


def test_an_alerts_page_has_the_consoles_date_style_and_no_button_that_closes(client):
    client.force_login(factories.superuser())
    alert = factories.alert()

    page = client.get(reverse("admin:alerts_alert_change", args=[alert.pk])).content.decode()

    assert moment(alert.opened_at) in page
    assert moment(alert.opened_at) in client.get(reverse("admin:alerts_alert_changelist")).content.decode()
    assert ">Close</a>" not in page
    assert "icon-no" not in page
