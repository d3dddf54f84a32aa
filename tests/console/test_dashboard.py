"""The dashboard: every state of the schedules, and as cheap with thousands of them as with ten."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, replanning, schedules
from tests import spoilt
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]

INDEX = reverse("admin:index")
LIST = reverse("admin:django_celery_beat_periodictask_changelist")
SEE_RUNS, SEE, EDIT = (
    "maintenance.view_jobrun",
    "django_celery_beat.view_periodictask",
    "django_celery_beat.change_periodictask",
)


def row_of(client, slug):
    page = client.get(INDEX)
    assert page.status_code == 200
    return next(row for row in page.context["job_rows"] if row.job.slug == slug), page.content.decode()


# --- A job without a schedule ------------------------------------------------------------------


def test_a_job_without_a_schedule_is_shown_and_gets_its_default_by_one_button(client, superuser):
    schedules.for_job("purge_old_content").delete()
    create = reverse("admin:maintenance_schedule_default", args=["purge_old_content"])

    row, page = row_of(client, "purge_old_content")
    assert row.schedule is None
    assert "No schedule" in page
    assert f'formaction="{create}"' in page

    answer = client.post(create, {"next": INDEX})

    assert answer.url == INDEX
    made = schedules.for_job("purge_old_content")
    assert str(schedules.crontab_of(made)) == "30 2 * * 0"
    assert schedules.is_default(made)
    assert row_of(client, "purge_old_content")[0].schedule == made


def test_the_default_is_created_once_and_by_who_may_change_schedules(client):
    schedules.for_job("purge_old_content").delete()
    create = reverse("admin:maintenance_schedule_default", args=["purge_old_content"])

    client.force_login(factories.user(SEE_RUNS, SEE))
    assert create not in row_of(client, "purge_old_content")[1]
    assert client.post(create).status_code == 403
    assert schedules.for_job("purge_old_content") is None

    client.force_login(factories.user(SEE_RUNS, SEE, EDIT))
    assert client.get(create).status_code == 405
    for _ in range(2):
        assert client.post(create).status_code == 302
    assert PeriodicTask.objects.filter(task="maintenance.purge_old_content").count() == 1
    assert client.post(reverse("admin:maintenance_schedule_default", args=["scrape_now"])).status_code == 302
    assert not PeriodicTask.objects.filter(task="maintenance.scrape_now").exists()
    assert client.post(reverse("admin:maintenance_schedule_default", args=["nothing"])).status_code == 404


def test_what_was_deleted_has_a_page_that_leads_to_a_dashboard_that_stands(client, superuser):
    task = schedules.for_job("purge_old_content")
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    task.delete()

    answer = client.get(address)

    assert answer.status_code == 404
    assert (
        "There is no such periodic task, or your account has no permission to see it."
        in answer.content.decode()
    )
    assert f'href="{INDEX}"' in answer.content.decode()
    assert client.get(INDEX).status_code == 200


def test_a_default_schedule_keeps_its_job(client, superuser):
    task = schedules.for_job("purge_old_content")
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    page = client.get(address)
    assert page.context["adminform"].form.fields["task"].disabled

    form = {**page.context["adminform"].form.initial, "task": "maintenance.cleanup_tokens", "name": "Renamed"}
    form = {
        name: value for name, value in form.items() if value is not None and name != "catch_up_after_pause"
    }
    assert client.post(address, form).status_code == 302

    task = PeriodicTask.objects.get(pk=task.pk)
    assert (task.name, task.task) == ("Renamed", "maintenance.purge_old_content")


# --- A schedule that cannot fire -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in spoilt.TIMES if kind != "crontab gone"])
def test_a_default_schedule_that_cannot_fire_says_so_on_every_page_of_it(client, superuser, kind):
    task = schedules.for_job("purge_old_content")
    other = spoilt.TIMES[kind]()
    PeriodicTask.objects.filter(pk=task.pk).update(
        crontab=other.crontab_id if kind in ("unknown zone", "no zone", "bad field") else None,
        interval=PeriodicTask.objects.get(pk=other.pk).interval_id,
        solar=PeriodicTask.objects.get(pk=other.pk).solar_id,
    )

    row, page = row_of(client, "purge_old_content")

    assert row.reading.timing_fault
    assert row.reading.timing_fault in page
    assert row.reading.timing_fault in client.get(LIST).content.decode()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    assert row.reading.timing_fault in client.get(address).content.decode()
    for name in ("delete", "history"):
        page = client.get(
            reverse(f"admin:django_celery_beat_periodictask_{name}", args=[task.pk]), follow=True
        )
        assert page.status_code == 200

    crontab = {"minute": "5", "hour": "4", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    policies = {"misfire_policy": "skip", "misfire_limit": "3", "overlap_policy": "skip"}
    form = {"name": task.name, "task": task.task, "kwargs": "{}", **crontab, **policies}
    assert client.post(address, {**form, "timezone": "UTC"}).status_code == 302
    assert not row_of(client, "purge_old_content")[0].reading.is_broken


def test_the_form_of_an_unknown_zone_shows_it_and_asks_for_another(client, superuser):
    task = spoilt.TIMES["unknown zone"]()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])

    page = client.get(address)

    assert '<option value="Mars/Phobos" selected>' in page.content.decode()
    form = page.context["adminform"].form
    data = {name: form[name].value() or "" for name in form.fields} | {"description": "new"}
    data.pop("catch_up_after_pause")
    answer = client.post(address, data)
    assert answer.context["adminform"].form.errors == {
        "timezone": ["This time zone cannot be used: choose another."]
    }


# --- Several schedules ---------------------------------------------------------------------------


def test_a_job_with_several_schedules_says_so_and_shows_the_next_of_them(client, superuser):
    first = schedules.for_job("purge_old_content")
    ahead = factories.schedule(task=first.task, crontab="* * * * *")
    factories.schedule(task=first.task, crontab="0 0 1 1 *")

    row, page = row_of(client, "purge_old_content")

    assert (row.schedule, row.number_of_schedules, row.next_schedule) == (first, 3, ahead)
    assert f'<a href="{LIST}?job=purge_old_content">' in page
    assert "and 2 more schedules" in page
    assert [
        task.task for task in client.get(LIST, {"job": "purge_old_content"}).context["cl"].result_list
    ] == [first.task] * 3


def make_many(number, task="maintenance.cleanup_tokens"):
    row = CrontabSchedule.objects.create(minute="0", hour="0", timezone="UTC")
    tasks = PeriodicTask.objects.bulk_create(
        PeriodicTask(name=f"one of {number} {task} {index:06}", task=task, crontab=row)
        for index in range(number)
    )
    ScheduleControl.objects.bulk_create(ScheduleControl(schedule=task) for task in tasks)
    for task in tasks[:1]:
        replanning.note_timing(task)
    return tasks


def test_the_dashboard_reads_as_much_for_hundreds_of_schedules_as_for_few(client, superuser):
    def looked():
        with CaptureQueriesContext(connection) as captured:
            page = client.get(INDEX)
        return len(captured), page

    make_many(2)
    client.get(INDEX)
    few, _ = looked()
    make_many(schedules.NEXT_AMONG_MAX, task="maintenance.scrape_now")
    assert looked()[0] == few
    make_many(schedules.NEXT_AMONG_MAX, task="maintenance.cleanup_tokens")
    many, page = looked()
    assert many == few + 1  # the other way of asking which comes next
    assert f"{schedules.NEXT_AMONG_MAX} schedules or more" in page.content.decode()


def test_the_list_of_schedules_has_pages_and_each_asks_the_same(client, superuser):
    bots = [factories.bot_config() for _ in range(60)]
    for bot in bots:
        factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}')

    def looked(**query):
        with CaptureQueriesContext(connection) as captured:
            page = client.get(LIST, query)
        return len(captured), page

    looked()
    full, page = looked()
    assert f"{PeriodicTask.objects.count()} schedules" in page.content.decode()
    assert '<a href="?p=2"' in page.content.decode()
    few, page = looked(p=2)
    assert len(page.context["cl"].result_list) < 50
    assert few == full
    assert all(task.run_url for task in page.context["cl"].result_list)


def test_a_schedule_of_a_deleted_bot_is_shown_as_broken(client, superuser):
    bot = factories.bot_config()
    task = factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}')
    pk = bot.pk
    bot.delete()

    fault = f"config: There is no bot {pk}: give its id or its name."
    assert fault in client.get(LIST).content.decode()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    page = client.get(address)
    assert fault in page.content.decode()
    # Who only moves the time is not asked to mend the parameters.
    form = page.context["adminform"].form
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None} | {
        "hour": "7"
    }
    data.pop("catch_up_after_pause")
    assert client.post(address, data).status_code == 302
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=task.pk))) == "0 7 * * *"
    refused = client.post(address, data | {"kwargs": '{"config": 0}'})
    assert "kwargs" in refused.context["adminform"].form.errors


# --- What is true ---------------------------------------------------------------------------------


def tiles(client):
    page = client.get(INDEX)
    return page.context["tiles"], page.content.decode()


def test_the_rate_counts_missed_slots_and_what_waits_and_no_dry_run(client, superuser):
    factories.job_run(status="succeeded")
    factories.job_run(status="succeeded", dry_run=True)
    factories.job_run(status="failed", dry_run=True)
    factories.job_run(status="missed", trigger="schedule", counts={"slots_missed": 60})
    factories.job_run(status="missed", trigger="schedule", counts={"slots_missed": "many"})
    factories.job_run(status="missed", trigger="schedule", queued_at=timezone.now() - timedelta(hours=25))
    factories.job_run(status="blocked", queued_at=timezone.now() - timedelta(days=9))

    found, page = tiles(client)

    assert (found.successes, found.failures, found.missed, found.waiting) == (1, 0, 61, 1)
    assert found.success_share == 1.5  # 1 of 63
    assert "61 slots missed" in page
    assert "1 run waits for a decision" in page


def test_a_hundred_per_cent_is_all_of_them(client, superuser):
    JobRun.objects.bulk_create(
        JobRun(job="cleanup_tokens", status=status, trigger="schedule", finished_at=timezone.now())
        for status in ["failed", *["succeeded"] * 2_999]
    )

    assert tiles(client)[0].success_share == 99.9


def test_a_dry_run_is_never_a_jobs_last_run(client, superuser):
    real = factories.job_run(job="purge_old_content", status="failed")
    for _ in range(31):
        factories.job_run(job="purge_old_content", dry_run=True)

    assert row_of(client, "purge_old_content")[0].last_run == real


def test_a_blocked_run_stays_on_top_until_it_is_decided(client):
    run = factories.job_run(
        job="purge_old_content", status="blocked", message="too many", waiting_since=timezone.now()
    )
    factories.job_run(job="purge_old_content", dry_run=True)
    factories.job_run(job="purge_old_content", status="skipped")

    client.force_login(factories.user(SEE_RUNS))
    page = client.get(INDEX).content.decode()
    assert page.index("Waiting for a decision") < page.index('class="tiles"')
    assert "too many" in page
    assert "Decide…" not in page

    client.force_login(factories.user(SEE_RUNS, "maintenance.approve_run"))
    assert "Decide…" in client.get(INDEX).content.decode()
    assert run.reject(message="no")
    assert "Waiting for a decision" not in client.get(INDEX).content.decode()


def test_the_next_run_is_that_of_any_schedule(client, superuser):
    bot = factories.bot_config()
    PeriodicTask.objects.exclude(task="maintenance.purge_old_content").delete()
    task = factories.schedule(
        task="maintenance.scrape_now",
        crontab="* * * * *",
        kwargs=f'{{"config": {bot.pk}}}',
        name="Every minute",
    )

    assert tiles(client)[0].next_title == "Every minute"
    edits.pause(task, by=None, reason="x")
    assert tiles(client)[0].next_title == "Purge old content"


def test_no_link_to_schedules_is_shown_to_who_may_not_see_them(client):
    factories.schedule(task="maintenance.purge_old_content")
    client.force_login(factories.user(SEE_RUNS))

    page = client.get(INDEX).content.decode()

    assert "and 1 more schedule" in page
    assert f'<a href="{LIST}' not in page


def test_the_next_run_of_another_schedule_names_it(client, superuser):
    purge = schedules.for_job("purge_old_content")
    factories.schedule(name="Every minute", task=purge.task, crontab="* * * * *")

    row, page = row_of(client, "purge_old_content")

    assert row.next_is_another
    assert ">Every minute</span>" in page
    assert not row_of(client, "cleanup_sessions")[0].next_is_another
