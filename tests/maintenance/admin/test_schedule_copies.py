"""A copy of a schedule, the page that deletes one, and the list's order and filter by owner."""

import json
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from audit.models import Event
from console import roles
from maintenance.models import JobRun
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.maintenance.admin.steps import CHANGE, EDIT, LIST, RUN, SEE

pytestmark = pytest.mark.django_db
DUPLICATE = "admin:maintenance_schedule_duplicate"
DELETE = "admin:django_celery_beat_periodictask_delete"
ADD, REMOVE = "django_celery_beat.add_periodictask", "django_celery_beat.delete_periodictask"


def reread(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


# --- Copies ----------------------------------------------------------------------------------


def test_a_copy_is_paused_and_opened_and_has_everything_but_the_name(client, superuser):
    task = factories.schedule(
        name="Nightly", crontab="7 3 * * 1", timezone_name="Europe/Berlin", description="why"
    )
    edits.set_policies(task, {"retries": 2, "overlap_policy": "queue_one"}, by=None)

    response = client.post(reverse(DUPLICATE, args=[task.pk]))

    copy = PeriodicTask.objects.select_related(*schedules.RELATED).get(name="Nightly (copy)")
    assert response.url == reverse(CHANGE, args=[copy.pk])
    assert (copy.enabled, copy.description, copy.task) == (False, "why", task.task)
    assert (copy.control.retries, copy.control.overlap_policy, copy.control.default_crontab) == (
        2,
        "queue_one",
        "",
    )
    before, after = Timing.of(reread(task)), Timing.of(copy)
    assert (after.crontab, after.zone) == (before.crontab, before.zone)
    assert reread(task).enabled
    assert "Nightly" in copy.control.pause_reason
    verbs = Event.objects.filter(subject_id=str(copy.pk)).values_list("verb", flat=True)
    assert {"row.added", "schedule.paused"} <= set(verbs)


def test_what_can_never_fire_is_not_copied_and_says_why(client, superuser):
    task = factories.schedule(name="Broken")
    interval = IntervalSchedule.objects.create(every=0, period="seconds")
    PeriodicTask.objects.filter(pk=task.pk).update(crontab=None, interval=interval)

    answer = client.post(reverse(DUPLICATE, args=[task.pk]), follow=True)

    assert "Broken cannot be copied: " in answer.content.decode()
    assert not PeriodicTask.objects.filter(name__contains="copy").exists()


def test_each_copy_has_a_name_of_its_own_however_long(client, superuser):
    task = factories.schedule(name="x" * 200)

    for _ in range(3):
        client.post(reverse(DUPLICATE, args=[task.pk]))

    names = sorted(PeriodicTask.objects.filter(name__startswith="xxx").values_list("name", flat=True))
    assert [name[-10:].lstrip("x") for name in names] == [" (copy 2)", " (copy 3)", " (copy)", ""]
    assert all(len(name) <= 200 for name in names)


def test_a_copy_needs_the_permissions_to_add_to_change_and_to_run(client):
    bot = factories.bot_config()
    task = factories.schedule(task="maintenance.scrape_now", kwargs=json.dumps({"config": bot.pk}))
    for permissions in ([SEE, EDIT], [SEE, ADD], [SEE, EDIT, ADD, RUN]):
        client.force_login(factories.user(*permissions))
        assert client.post(reverse(DUPLICATE, args=[task.pk])).status_code == 403
    assert PeriodicTask.objects.filter(task=task.task).count() == 1

    bot.owner.user_permissions.set(factories.user(SEE, EDIT, ADD).user_permissions.all())
    client.force_login(bot.owner)
    assert client.post(reverse(DUPLICATE, args=[task.pk])).status_code == 302


def test_operators_retime_schedules_and_are_not_offered_to_add_any(client):
    roles.create_groups()
    task, person = factories.schedule(), factories.user(is_staff=True)
    person.groups.add(Group.objects.get(name=roles.OPERATORS))
    page = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])

    client.force_login(person)
    shown = client.get(page).content.decode()
    assert reverse("admin:maintenance_schedule_pause", args=[task.pk]) in shown
    assert reverse(DUPLICATE, args=[task.pk]) not in shown

    client.force_login(factories.superuser())
    assert reverse(DUPLICATE, args=[task.pk]) in client.get(page).content.decode()


def test_looking_at_the_address_copies_nothing(client, superuser):
    task = factories.schedule()

    assert client.get(reverse(DUPLICATE, args=[task.pk])).status_code == 405
    assert PeriodicTask.objects.filter(task=task.task, name__contains="copy").count() == 0


# --- Deletion --------------------------------------------------------------------------------


def test_the_page_says_what_becomes_of_history_and_default(client, superuser, purge):
    for number in range(2):
        factories.job_run(
            schedule=purge, scheduled_for=timezone.now() - timedelta(hours=number), status="succeeded"
        )
    factories.job_run(schedule=purge, scheduled_for=timezone.now() - timedelta(hours=9), status="queued")

    page = client.get(reverse(DELETE, args=[purge.pk])).content.decode()

    assert "Its 3 runs stay in the history" in page
    assert "1 run that is queued or running goes on" in page
    assert "creates the job’s default again (30 2 * * 0)" in page

    factories.schedule(task=purge.task)
    page = client.get(reverse(DELETE, args=[purge.pk])).content.decode()
    assert "keeps 1 other schedule; no default is created again" in page


def test_deleting_keeps_the_runs_and_the_reason(client, superuser, purge):
    run = factories.job_run(schedule=purge, scheduled_for=timezone.now(), status="succeeded")
    survivor = factories.schedule()

    client.post(reverse(DELETE, args=[purge.pk]), {"post": "yes", "reason": "merged"})

    assert not PeriodicTask.objects.filter(pk=purge.pk).exists()
    assert PeriodicTask.objects.filter(pk=survivor.pk).exists()
    assert JobRun.objects.filter(pk=run.pk).exists()
    assert Event.objects.get(verb="row.deleted", subject_id=str(purge.pk)).reason == "merged"


# --- The list --------------------------------------------------------------------------------


@pytest.fixture
def three():
    PeriodicTask.objects.all().delete()
    soon = timezone.now() + timedelta(minutes=5)
    later = timezone.now() + timedelta(days=300)
    made = [
        factories.schedule(name="b late", crontab=f"0 0 {later.day} {later.month} *"),
        factories.schedule(name="c soon", crontab=f"{soon.minute} {soon.hour} * * *"),
        factories.schedule(name="a never", crontab="0 0 * * *"),
    ]
    edits.pause(made[2], by=None, reason="x")
    return made


def listed(client, **query):
    return [task.name for task in client.get(reverse(LIST), query).context["cl"].result_list]


def column(name):
    return ["action_checkbox", *admin.site.get_model_admin(PeriodicTask).list_display].index(name)


def test_it_is_sorted_by_name_and_by_next_run_with_what_never_runs_last(client, superuser, three):
    by_name, by_time = column("schedule_name"), column("next_run")

    assert listed(client, o=f"-{by_name}") == ["c soon", "b late", "a never"]
    assert listed(client, o=str(by_time)) == ["c soon", "b late", "a never"]
    assert listed(client, o=f"-{by_time}")[-2:] == ["b late", "c soon"]
    assert listed(client, o="3") == ["a never", "b late", "c soon"]  # a column that is not sortable


def test_it_is_filtered_by_the_owner_of_the_bot(client, superuser, three):
    mine, theirs = factories.bot_config(name="mine"), factories.bot_config(name="theirs")
    for bot in (mine, theirs):
        factories.schedule(
            name=bot.name, task="maintenance.scrape_now", kwargs=json.dumps({"config": bot.pk})
        )

    assert listed(client, owner=str(mine.owner_id)) == ["mine"]
    assert listed(client, owner="0") == []
    assert len(listed(client)) == 5

    mine.owner.user_permissions.set(factories.user(SEE).user_permissions.all())
    client.force_login(mine.owner)
    assert listed(client, owner=str(theirs.owner_id)) == []
    assert theirs.owner.username not in client.get(reverse(LIST)).content.decode()
