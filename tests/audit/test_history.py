"""A person's entries outlive the account, and an object's history still shows them."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation

from audit.history import ENTRY, stored_text
from audit.models import Event
from database.messages import gettext
from tests import factories

pytestmark = pytest.mark.django_db

NOON = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


def entry(person, subject, minutes, message, flag=CHANGE):
    made = LogEntry.objects.create(
        user=person,
        content_type=ContentType.objects.get_for_model(subject),
        object_id=str(subject.pk),
        object_repr=str(subject),
        action_flag=flag,
        change_message=message,
    )
    LogEntry.objects.filter(pk=made.pk).update(action_time=NOON + timedelta(minutes=minutes))
    return made


@pytest.fixture
def root():
    return factories.superuser(username="root")


@pytest.fixture
def people():
    """One who goes, and one who stays; both have changed the same group."""
    ada, bob = factories.superuser(username="ada"), factories.superuser(username="bob")
    group = Group.objects.create(name="Night shift")
    entry(ada, group, 1, '[{"added": {}}]', ADDITION)
    entry(bob, group, 2, "second")
    entry(ada, group, 3, "third")
    return ada, bob, group


def by_the_page(client, person):
    client.post(reverse("admin:auth_user_delete", args=[person.pk]), {"post": "yes"})


def by_the_action(client, person):
    client.post(
        reverse("admin:auth_user_changelist"),
        {"action": "delete_selected", "_selected_action": [person.pk], "post": "yes"},
    )


def by_hand(client, person):
    person.delete()


def by_queryset(client, person):
    User.objects.filter(pk=person.pk).delete()


@pytest.mark.parametrize("delete", [by_the_page, by_the_action, by_hand, by_queryset])
def test_the_entries_of_who_is_deleted_are_kept_with_the_name(client, root, people, delete):
    ada, bob, group = people
    client.force_login(root)

    delete(client, ada)

    assert not User.objects.filter(username="ada").exists()
    kept = Event.objects.filter(verb=ENTRY).order_by("at")
    assert [(event.actor_name, event.subject_name) for event in kept] == [("ada", "Night shift")] * 2
    assert list(LogEntry.objects.filter(user=bob).values_list("change_message", flat=True)) == ["second"]
    page = client.get(reverse("admin:auth_group_history", args=[group.pk])).content.decode()
    assert re.findall(r"<td>(ada|bob|root)", page) == ["ada", "bob", "ada"]
    assert page.index("third") < page.index("second") < page.index("Added.")


def test_a_deletion_that_is_undone_leaves_neither_event_nor_gap(people):
    ada, _bob, _group = people

    before = transaction.savepoint()
    ada.delete()
    transaction.savepoint_rollback(before)

    assert Event.objects.count() == 0
    assert LogEntry.objects.filter(user__username="ada").count() == 2


def test_the_page_that_asks_does_not_say_that_entries_go(client, root, people):
    client.force_login(root)

    page = client.get(reverse("admin:auth_user_delete", args=[people[0].pk])).content.decode()

    assert "log entr" not in page.lower()
    assert "ada" in page


def test_entries_of_no_object_and_of_what_is_gone_are_kept_too(root):
    ada = factories.user(username="ada")
    gone = ContentType.objects.create(app_label="gone", model="thing")
    LogEntry.objects.create(user=ada, content_type=None, object_repr="all posts", action_flag=CHANGE)
    LogEntry.objects.create(
        user=ada, content_type=gone, object_id="7", object_repr="seven", action_flag=CHANGE
    )

    ada.delete()

    assert sorted(Event.objects.values_list("subject_type", "subject_id")) == [
        ("gone.thing", "7"),
        ("–", "–"),
    ]


def test_a_long_history_has_pages_of_both(client, root, people):
    ada, bob, group = people
    for number in range(120):
        entry(bob if number % 2 else ada, group, 10 + number, f"change {number}")
    ada.delete()
    client.force_login(root)
    address = reverse("admin:auth_group_history", args=[group.pk])

    first, second = (client.get(address, {"p": page}).content.decode() for page in (1, 2))

    assert re.findall(r"change (\d+)", first) == [str(number) for number in range(119, 19, -1)]
    assert re.findall(r"change (\d+)", second) == [str(number) for number in range(19, -1, -1)]


def test_a_schedule_shows_what_its_deleted_operator_changed(client, root):
    task = factories.schedule()
    ada = factories.user(username="ada")
    change = {
        "before": {"schedule": "0 0 * * * UTC"},
        "after": {"schedule": "5 0 * * * UTC"},
        "reason": "later",
    }
    entry(ada, task, 1, json.dumps(change))
    ada.delete()
    client.force_login(root)

    page = client.get(
        reverse("admin:django_celery_beat_periodictask_history", args=[task.pk])
    ).content.decode()

    assert "<td>ada</td>" in page
    assert "later" in page
    assert "5 0 * * * UTC" in page


def test_a_text_of_a_deleted_person_reads_in_the_readers_language(client, root):
    run, ada = factories.job_run(), factories.user(username="ada")
    with translation.override("zh-hans"):
        entry(ada, run, 1, stored_text(gettext("Cancelled.")))
    entry(ada, run, 2, '{"text')
    ada.delete()
    client.force_login(root)
    address = reverse("admin:maintenance_jobrun_history", args=[run.pk])

    page = client.get(address, headers={"accept-language": "en"}).content.decode()
    chinese = client.get(address, headers={"accept-language": "zh-hans"}).content.decode()

    assert "Cancelled." in page
    assert "Cancelled." not in chinese
