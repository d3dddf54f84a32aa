"""The routes are edited by who may, never show a secret, and a test shows the real answer."""

import pytest
from django.urls import reverse

from alerts import trying
from alerts.admin.why import causes_of
from alerts.models import Delivery, Route
from audit.models import Event
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]
URL, SECRET = "https://hooks.example.org/T0/very-secret-path", "0123456789abcdef-secret"
FIELDS = {"name": "hook", "to": "webhook", "least_severity": "critical", "is_enabled": "on"}


def add(client, **fields):
    return client.post(reverse("admin:alerts_route_add"), {**FIELDS, **fields})


def test_a_webhook_is_stored_and_never_shown(client, superuser):
    add(client, new_url=URL, new_secret=SECRET, rules=["failed", "missed"])

    route = Route.objects.get(name="hook")
    assert (route.url, route.secret, route.rules) == (URL, SECRET, ["failed", "missed"])
    pages = [reverse("admin:alerts_route_changelist"), reverse("admin:alerts_route_change", args=[route.pk])]
    told = "".join(client.get(page).text for page in pages) + str(
        Event.objects.values_list("before", "after")
    )
    assert "hooks.example.org" in told
    assert "very-secret-path" not in told
    assert SECRET not in told

    client.post(reverse("admin:alerts_route_change", args=[route.pk]), {**FIELDS, "name": "renamed"})
    kept = Route.objects.get(pk=route.pk)
    assert (kept.name, kept.url, kept.secret) == ("renamed", URL, SECRET)
    assert Event.objects.filter(verb="row.changed", subject_type="alerts.Route").exists()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"new_url": URL}, "new_secret"),
        ({"new_secret": SECRET}, "new_url"),
        ({"new_url": "ftp://x.example/", "new_secret": SECRET}, "new_url"),
        ({"new_url": URL, "new_secret": "short"}, "new_secret"),
        ({"to": "group"}, "group"),
        ({"to": "person"}, "person"),
        ({"to": "addresses", "rules": ["gone"]}, "rules"),
        ({"to": "addresses", "escalates_after_minutes": "0"}, "escalates_after_minutes"),
    ],
)
def test_what_is_missing_or_wrong_is_said_at_its_field(client, superuser, fields, name):
    answer = add(client, **fields)

    assert list(answer.context["adminform"].form.errors) == [name]
    assert not Route.objects.filter(name="hook").exists()


def test_a_route_that_becomes_another_drops_what_it_does_not_need(client, superuser):
    route = factories.webhook_route(url=URL)
    person = factories.user(email="p@example.org")

    fields = {**FIELDS, "to": "person", "person": person.pk}
    client.post(reverse("admin:alerts_route_change", args=[route.pk]), fields)

    kept = Route.objects.get(pk=route.pk)
    assert (kept.to, kept.person, kept.url, kept.secret) == ("person", person, "", "")


def test_a_test_shows_the_real_answer_and_writes_no_delivery(client, superuser, hooks):
    route = factories.webhook_route(url=hooks.url)
    hooks.answers = [(418, {}, "a <teapot>")]

    shown = client.post(reverse("admin:alerts_route_test", args=[route.pk]), follow=True).text

    assert "HTTP 418 a &lt;teapot&gt;" in shown
    ((_headers, _body, told),) = hooks.requests
    assert (told["event"], told["alerts"]) == ("test", [])
    assert not Delivery.objects.exists()
    assert Event.objects.get(verb="route.tested").parameters["answers"][0].endswith("HTTP 418 a <teapot>")


def test_a_test_of_a_group_goes_to_who_asks_only(mails):
    boss = factories.superuser(email="boss@example.org")
    route = Route.objects.get(to="group")
    other = factories.user(email="other@example.org")
    other.groups.add(route.group)

    ((recipient, answer),) = trying.send_test(route, by=boss)

    assert (recipient, answer.is_delivered) == ("boss@example.org", True)
    assert [mail["To"] for mail in mails.mails] == ["boss@example.org"]


def test_without_a_mail_server_a_test_says_so(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    settings.ALERT_EMAILS = ["x@example.org"]

    ((_recipient, answer),) = trying.send_test(factories.route(), by=factories.superuser())

    assert "EMAIL_URL" in answer.text


def test_who_may_only_look_sends_no_test(client, hooks):
    route = factories.webhook_route(url=hooks.url)
    client.force_login(factories.user("alerts.view_route"))
    page = reverse("admin:alerts_route_change", args=[route.pk])

    assert "Send a test" not in client.get(page).text
    assert client.post(reverse("admin:alerts_route_test", args=[route.pk])).status_code == 403
    assert hooks.requests == []


def test_who_may_only_look_sees_the_recipient_and_the_rules(client):
    client.force_login(factories.user("alerts.view_route"))
    route = factories.route(to="chat", url="slack://TokenA/TokenB/TokenC/#ops", rules=["late"])

    page = client.get(reverse("admin:alerts_route_change", args=[route.pk])).text

    assert "a chat or on-call service" in page
    assert "late" in page
    assert "New chat" not in page
    assert "TokenB" not in page


def test_the_page_of_an_alert_says_why(client, superuser):
    run = factories.job_run(status="failed", error="disk full", schedule=factories.schedule())
    alert = factories.alert(subject_type="django_celery_beat.PeriodicTask", subject_id=str(run.schedule_id))

    assert "disk full" in client.get(reverse("admin:alerts_alert_change", args=[alert.pk])).text
    assert causes_of(alert, factories.user()) == []
    alert.close(alert.opened_at)
    assert causes_of(alert, superuser) == []


@pytest.mark.parametrize(
    "subject",
    [
        ("maintenance.JobRun", "999"), ("scraping.BotConfig", "x"), ("django_celery_beat.PeriodicTask", "9" * 30),
        ("maintenance.Job", "gone"), ("maintenance.BeatLease", "1"),
    ],
)  # fmt: skip
def test_a_subject_that_is_gone_has_no_causes(superuser, subject):
    for rule in ("failed", "late"):
        alert = factories.alert(rule=rule, subject_type=subject[0], subject_id=subject[1])
        assert causes_of(alert, superuser) == []
