"""Entries of Django's log become events: all of them at a migration, a person's before the person is deleted."""

import json
from datetime import timedelta

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from audit.history import ENTRY, move_entries
from audit.models import Event
from tests.kit import factories

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
    """One person who is deleted, and one who stays; both have changed the same group."""
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


@pytest.mark.slow
@pytest.mark.parametrize("delete", [by_the_page, by_the_action, by_hand, by_queryset])
def test_the_entries_of_who_is_deleted_are_kept_with_the_name(client, root, people, delete):
    ada, bob, group = people
    client.force_login(root)

    delete(client, ada)

    assert not User.objects.filter(username="ada").exists()
    kept = Event.objects.filter(verb=ENTRY).order_by("at")
    assert [(event.actor_name, event.subject_name) for event in kept] == [("ada", "Night shift")] * 2
    assert list(LogEntry.objects.filter(user=bob).values_list("change_message", flat=True)) == ["second"]
    page = client.get(reverse("admin:auth_group_history", args=[group.pk]), follow=True).content.decode()
    assert page.index("third") < page.index("Added.")


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


def test_all_entries_move_once_in_batches_with_time_and_person(people):
    ada, bob, group = people

    assert move_entries(batch=2) == 3
    assert move_entries(batch=2) == 0

    assert not LogEntry.objects.exists()
    kept = Event.objects.order_by("at")
    assert [(event.actor, event.at - NOON) for event in kept] == [
        (ada, timedelta(minutes=1)),
        (bob, timedelta(minutes=2)),
        (ada, timedelta(minutes=3)),
    ]
    # In the form that the previous release reads in addition to its own entries.
    assert [event.parameters["message"] for event in kept] == ['[{"added": {}}]', "second", "third"]
    assert {(event.verb, event.subject_id) for event in kept} == {(ENTRY, str(group.pk))}


def test_an_entry_with_before_after_and_reason_keeps_them_as_such(client, root):
    task, ada = factories.schedule(), factories.user(username="ada")
    change = {
        "before": {"schedule": "0 0 * * * UTC"},
        "after": {"schedule": "5 0 * * * UTC"},
        "reason": "Reset to default",
        "reason_parts": {"code": "Reset to default"},
    }
    entry(ada, task, 1, json.dumps(change))

    move_entries()

    event = Event.objects.get()
    assert (event.before, event.after) == (change["before"], change["after"])
    client.force_login(root)
    address = reverse("admin:django_celery_beat_periodictask_history", args=[task.pk])
    page = client.get(address, follow=True, headers={"accept-language": "zh-hans"}).content.decode()
    assert "5 0 * * * UTC" in page
    assert "Reset to default" not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "message", ['{"text', "{", "[" * 3000, '{"text": 7}', "[1]", '{"before": {}, "after": 1}']
)
def test_an_entry_that_nobody_can_read_moves_too_and_its_page_opens(client, root, message):
    run = factories.job_run()
    entry(root, run, 1, message)

    move_entries()

    client.force_login(root)
    page = client.get(reverse("admin:maintenance_jobrun_history", args=[run.pk]), follow=True)
    assert page.status_code == 200
