"""Schedules in the admin: the list, the history, the preview of fire times."""

import json
import threading

import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.admin.schedule_summary import BotOwnerFilter
from maintenance.admin.schedules import ScheduleAdmin
from maintenance.ledger import requests
from maintenance.scheduling import edits, schedules
from tests.kit import factories
from tests.kit.waiting import wait_until
from tests.maintenance.admin.steps import CHANGE, CRONTAB, FORM, LIST, PREVIEW, SEE

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_the_list_says_when_each_schedule_runs(client, operator, purge):
    factories.job_run(job="purge_old_content")

    page = client.get(reverse(LIST)).content.decode()

    assert "At 02:30, only on Sunday" in page
    assert "<code>30 2 * * 0</code>" in page
    assert 'role="switch" aria-checked="true"' in page
    assert 'class="bar-succeeded"' in page
    assert reverse("admin:maintenance_job_run", args=["purge_old_content"]) in page


@pytest.mark.slow
def test_the_list_asks_as_many_queries_for_many_schedules_as_for_few(client, operator):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse(LIST))
        return len(captured)

    client.get(reverse(LIST))
    few = queries()
    for _number in range(10):
        task = factories.schedule()
        schedules.control_of(task)
        factories.job_run()
    assert queries() == few


@pytest.mark.slow
def test_a_viewer_sees_no_way_to_change_or_run(client, purge):
    client.force_login(factories.user(SEE))

    page = client.get(reverse(LIST)).content.decode()
    form = client.get(reverse(CHANGE, args=[purge.pk])).content.decode()

    assert "disabled" in page
    assert reverse("admin:maintenance_job_run", args=["purge_old_content"]) not in page
    assert "At 02:30, only on Sunday" in form
    assert "Pause…" not in form
    assert 'name="minute"' not in form


def test_a_schedule_with_parameters_that_nobody_can_read_stands_in_the_list(client, operator, purge):
    PeriodicTask.objects.filter(pk=purge.pk).update(kwargs="[" * 100_000)

    assert client.get(reverse(LIST)).status_code == 200


def test_deleting_a_schedule_keeps_its_runs(client, superuser, purge):
    run = factories.job_run(job="purge_old_content", schedule=purge, schedule_name=purge.name)
    survivor = schedules.for_job("cleanup_tokens")

    client.post(reverse("admin:django_celery_beat_periodictask_delete", args=[purge.pk]), {"post": "yes"})

    assert not PeriodicTask.objects.filter(pk=purge.pk).exists()
    assert PeriodicTask.objects.filter(pk=survivor.pk).exists()
    run.refresh_from_db()
    assert (run.schedule, run.schedule_name) == (None, purge.name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
def test_deleting_a_schedule_waits_for_a_run_that_is_being_handed_back(rf):
    task = factories.schedule()
    run = factories.job_run(status="running", schedule=task, schedule_name=task.name)
    request = rf.post("/")
    request.user = factories.superuser()

    def delete():
        with transaction.atomic():
            ScheduleAdmin(PeriodicTask, admin.site).delete_model(request, task)
        connection.close()

    def is_waiting():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return cursor.fetchone()[0]

    thread = threading.Thread(target=delete)
    with transaction.atomic():
        assert run.finish("interrupted", reason="worker_stopped")
        thread.start()
        wait_until(is_waiting, timeout=20)
        attempt = requests.request_next_attempt(
            run
        )  # if the schedule were locked first, this would be a deadlock
    thread.join(20)

    attempt.refresh_from_db()
    assert (attempt.schedule, attempt.status) == (None, "queued")
    assert not PeriodicTask.objects.filter(pk=task.pk).exists()


def test_history_tells_before_after_and_reason(client, operator, purge):
    edits.pause(purge, by=operator, reason="disk is full")

    address = reverse("admin:django_celery_beat_periodictask_history", args=[purge.pk])
    page = client.get(address, follow=True).content.decode()

    assert "disk is full" in page
    assert "yes →" in page
    assert "30 2 * * 0" not in page  # it stayed as it was


@pytest.mark.slow
def test_an_edit_stands_in_the_history_once(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, "name": purge.name, "description": purge.description, "reason": "quieter then"}
    policies = {"misfire_policy": "run_once", "misfire_limit": "10", "overlap_policy": "skip"}

    client.post(address, {**form, **policies})
    (retimed,) = Event.objects.exclude(verb="schedule.policies_changed")
    assert retimed.reason == "quieter then"

    client.post(address, {**form, **policies, "description": "new words", "reason": ""})
    assert Event.objects.latest("pk").after == {"description": "new words"}
    assert Event.objects.exclude(verb="schedule.policies_changed").count() == 2


def test_the_preview_shows_the_next_runs_in_both_clocks(client, operator):
    response = client.get(reverse(PREVIEW), {**CRONTAB, "timezone": "Asia/Shanghai", "day_of_week": "*"})

    page = response.content.decode()
    assert page.count("04:05 UTC+8") == 10
    assert page.count("20:05") == 10
    assert "Unix cron" not in page


def test_the_preview_warns_about_both_day_fields(client, operator):
    response = client.get(
        reverse(PREVIEW), {**CRONTAB, "timezone": "UTC", "day_of_month": "13", "day_of_week": "fri"}
    )

    assert "Celery runs only when both match" in response.content.decode()


def test_the_preview_names_the_field_that_is_wrong(client, operator):
    response = client.get(reverse(PREVIEW), {**CRONTAB, "timezone": "UTC", "hour": "25"})

    assert response.status_code == 200
    assert "<strong>Hour:</strong>" in response.content.decode()


def test_owners_beyond_those_in_the_menu_can_be_chosen_by_address(client, monkeypatch):
    monkeypatch.setattr(BotOwnerFilter, "shown_max", 1)
    client.force_login(factories.superuser())
    bots = [factories.bot_config(name=name, owner=factories.user(username=name)) for name in ("ada", "bob")]
    for bot in bots:
        kwargs = json.dumps({"config": bot.pk})
        factories.schedule(name=bot.name, task="maintenance.scrape_now", kwargs=kwargs)

    page = client.get(reverse(LIST)).content.decode()
    chosen = client.get(reverse(LIST), {"owner": bots[1].owner_id})

    assert "There are more: these are the first 1 by name." in page
    assert [task.name for task in chosen.context["cl"].result_list] == ["bob"]
