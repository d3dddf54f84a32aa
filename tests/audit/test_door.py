"""Events of sign-ins, of refusals, and of shell commands."""

import getpass

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.urls import reverse

from audit.models import Event
from tests.kit import factories

pytestmark = pytest.mark.django_db

PASSWORD = "long enough to be good"


@pytest.fixture
def ada():
    person = factories.superuser(username="ada")
    person.set_password(PASSWORD)
    person.save()
    return person


def sign_in(client, name, password):
    return client.post(reverse("admin:login"), {"login": name, "password": password})


def verbs():
    return list(Event.objects.order_by("pk").values_list("verb", flat=True))


def test_coming_in_and_going_are_events(client, ada):
    sign_in(client, "ada", PASSWORD)
    client.post(reverse("admin:logout"))

    assert verbs() == ["person.signed_in", "person.signed_out"]
    assert set(Event.objects.values_list("actor", "subject_id", "address")) == {
        (ada.pk, str(ada.pk), "127.0.0.1")
    }


@pytest.mark.parametrize("name", ["ada", "nobody", "x" * 100, "a\nb"])
def test_a_failed_sign_in_keeps_a_bounded_name_and_no_password(client, ada, name):
    sign_in(client, name, "hunter2-hunter2")

    event = Event.objects.get()
    assert (event.verb, event.actor, len(event.subject_name) <= 60) == ("person.sign_in_failed", None, True)
    assert "hunter2" not in str(Event.objects.values().get())


def test_a_refused_page_is_an_event(client):
    person = factories.user(username="bob")
    client.force_login(person)

    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403

    event = Event.objects.get()
    assert (event.verb, event.actor, event.subject_name) == ("page.refused", person, "/admin/auth/user/")


def test_a_refusal_that_cannot_be_stored_is_refused_all_the_same_and_logged(client, caplog):
    client.force_login(factories.user(username="bob"))

    with connection.execute_wrapper(no_events):
        answer = client.get(reverse("admin:auth_user_changelist"))

    assert (answer.status_code, Event.objects.count()) == (403, 0)
    (line,) = [line for line in caplog.records if line.name == "audit.events"]
    assert "page.refused /admin/auth/user/" in line.getMessage()
    assert line.getMessage().endswith(": read-only.")


def no_events(execute, sql, params, many, context):
    """Simulate a database that has become read-only since the page was authorised."""
    if sql.startswith('INSERT INTO "audit_event"'):
        raise OperationalError("read-only")
    return execute(sql, params, many, context)


def test_a_password_that_somebody_changes_is_an_event_without_it(client, ada):
    client.force_login(ada)

    client.post(
        reverse("admin:password_change"),
        {
            "old_password": PASSWORD,
            "new_password1": "another good one 7",
            "new_password2": "another good one 7",
        },
    )

    assert verbs() == ["person.password_changed"]
    assert "another good" not in str(Event.objects.values().get())


def test_an_edit_in_the_admin_keeps_before_and_after_and_no_secret(client, ada):
    bob = User.objects.create(username="bob", email="old@example.org")
    client.force_login(ada)
    page = client.get(reverse("admin:auth_user_change", args=[bob.pk]))
    fields = {name: value for name, value in page.context["adminform"].form.initial.items() if value}
    fields.pop("password", None)

    client.post(
        reverse("admin:auth_user_change", args=[bob.pk]),
        {**fields, "email": "new@example.org", "is_active": "on"},
    )
    client.post(
        reverse("admin:auth_user_password_change", args=[bob.pk]),
        {"password1": "another good one 7", "password2": "another good one 7"},
    )

    edit, password = Event.objects.order_by("pk")
    assert (edit.before, edit.after) == ({"email": "old@example.org"}, {"email": "new@example.org"})
    assert password.verb == "row.changed"
    assert "pbkdf2" not in str(list(Event.objects.values()))


def test_a_deletion_says_what_it_was_and_what_went_with_it(client, ada):
    bot = factories.bot_config(name="News")
    factories.session(config=bot)
    client.force_login(ada)

    client.post(reverse("admin:scraping_botconfig_delete", args=[bot.pk]), {"post": "yes"})

    event = Event.objects.get(verb="row.deleted")
    assert (event.subject_id, event.before["name"]) == (str(bot.pk), "News")


@pytest.mark.parametrize(
    ("typed", "kept"), [("moved\0away", "movedaway"), ("x" * 70_000, "x" * 500), ("  ", "")]
)
def test_a_reason_of_a_deletion_is_kept_as_far_as_it_can_be_stored(client, ada, typed, kept):
    group = Group.objects.create(name="x")
    client.force_login(ada)

    client.post(reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes", "reason": typed})

    assert Event.objects.get(verb="row.deleted").reason == kept


def test_a_command_is_a_shells_and_says_whose():
    call_command("seed_schedules", verbosity=0)

    event = Event.objects.get()
    assert (event.verb, event.actor_kind, event.actor_name, event.subject_id) == (
        "command.ran",
        "shell",
        getpass.getuser(),
        "seed_schedules",
    )
