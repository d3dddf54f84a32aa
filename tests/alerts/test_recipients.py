"""Who is told: whom a route names, if they may see the alert and can be reached."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from alerts.models import Route
from alerts.recipients import Directory
from console.roles import APPROVERS, BOT_OWNERS, OPERATORS
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_routes():
    Route.objects.all().delete()


def member(name, group, **fields):
    person = factories.user(username=name, **{"email": f"{name}@example.org", **fields})
    person.groups.add(Group.objects.get(name=group))
    return person


def told(alert):
    return [one.address for one in Directory().told_at_once(alert)]


def test_the_members_of_a_group_are_told_who_can_be_reached():
    member("a", OPERATORS)
    member("b", OPERATORS, is_active=False)
    member("c", OPERATORS, email="")
    member("d", APPROVERS)
    factories.route(to="group", group=Group.objects.get(name=OPERATORS))

    assert told(factories.alert()) == ["a@example.org"]


def test_the_owner_is_told_about_their_bot_only():
    factories.route(to="owner")
    bot = factories.bot_config(owner=member("o", BOT_OWNERS))

    assert told(factories.alert(config=bot)) == ["o@example.org"]
    assert told(factories.alert(config=factories.bot_config(owner=factories.user(email="")))) == []
    assert told(factories.alert()) == []


def test_nobody_is_told_about_what_they_may_not_see():
    owner = member("o", BOT_OWNERS)
    factories.route(to="group", group=Group.objects.get(name=BOT_OWNERS))
    factories.route(to="person", person=owner)

    assert told(factories.alert(config=factories.bot_config())) == []
    assert told(factories.alert()) == []
    assert told(factories.alert(config=factories.bot_config(owner=owner))) == ["o@example.org"]


def test_who_is_named_by_two_routes_is_told_once():
    boss = factories.superuser(email="boss@example.org")
    factories.route(to="person", person=boss)
    factories.route(to="person", person=boss)

    assert told(factories.alert()) == ["boss@example.org"]


def test_a_newer_route_adds_rules_and_severities_to_an_older_one(settings):
    settings.ALERT_EMAILS = ["x@example.org"]
    factories.route(least_severity="critical")
    assert told(factories.alert(severity="warning")) == []

    factories.route(least_severity="warning", rules=["missed"])

    assert told(factories.alert(severity="warning", rule="missed")) == ["x@example.org"]
    assert told(factories.alert(severity="warning", rule="late")) == []
    assert told(factories.alert(severity="critical")) == ["x@example.org"]


def test_a_route_tells_about_its_rules_from_its_severity_on_while_it_is_on(settings):
    settings.ALERT_EMAILS = ["x@example.org"]
    route = factories.route(rules=["failed", "missed"], least_severity="critical")
    assert told(factories.alert(rule="failed", severity="critical")) == ["x@example.org"]
    assert told(factories.alert(rule="failed", severity="warning")) == []
    assert told(factories.alert(rule="blocked", severity="critical")) == []

    Route.objects.filter(pk=route.pk).update(rules=[], least_severity="warning")
    assert told(factories.alert(rule="anything", severity="warning")) == ["x@example.org"]
    Route.objects.filter(pk=route.pk).update(escalates_after_minutes=5)
    assert told(factories.alert()) == []
    Route.objects.filter(pk=route.pk).update(escalates_after_minutes=None, is_enabled=False)
    assert told(factories.alert()) == []


def test_without_a_mail_server_only_webhooks_are_told(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    settings.ALERT_EMAILS = ["x@example.org"]
    factories.route()
    hook = factories.webhook_route(url="https://hooks.example.org/secret")

    assert told(factories.alert()) == [f"hooks.example.org ({hook.pk})"]


def test_a_webhook_that_no_key_decrypts_does_not_stop_the_others(settings):
    hook = factories.webhook_route()
    settings.ALERT_EMAILS = ["x@example.org"]
    factories.route()
    settings.FIELD_ENCRYPTION_KEY = ["another key that is long enough for it"]

    assert told(factories.alert()) == [f"? ({hook.pk})", "x@example.org"]


def test_a_new_console_mails_operators_and_alert_emails_about_what_is_critical():
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)

    routes = Route.objects.order_by("pk").values_list("name", "to", "least_severity", "rules", "is_enabled")
    assert list(routes) == [
        ("ALERT_EMAILS", "addresses", "critical", [], True),
        (OPERATORS, "group", "critical", [], True),
    ]


def test_a_default_route_that_was_changed_is_left_alone():
    operators = Group.objects.get(name=OPERATORS)
    factories.route(name="mine", to="group", group=operators, is_enabled=False)
    factories.route(name="ALERT_EMAILS", is_enabled=False)

    call_command("migrate", verbosity=0)

    assert sorted(Route.objects.values_list("name", "is_enabled")) == [
        ("ALERT_EMAILS", False),
        ("mine", False),
    ]
