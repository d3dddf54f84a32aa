"""The dashboard: every state of the schedules; and it is as cheap with thousands of them as with ten."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from console.dashboard.job_rows import ROWS_MAX
from maintenance.ledger.usual import usual_of
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import jobs
from maintenance.scheduling import edits, replanning, schedules
from maintenance.scheduling.firetimes import Crontab
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_was_deleted_has_a_page_that_leads_to_a_dashboard_that_stands(client, superuser):
    task = schedules.for_job("purge_old_content")
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    task.delete()

    answer = client.get(address)

    assert answer.status_code == 404
    said = "There is no such schedule, or your account has no permission to see it."
    assert said in answer.content.decode()
    assert f'href="{INDEX}"' in answer.content.decode()
    assert client.get(INDEX).status_code == 200


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def rows(client):
    page = client.get(INDEX)
    return page.context["job_rows"], page.content.decode()


@pytest.mark.slow
def test_a_job_has_one_row_and_each_schedule_that_differs_from_its_default_another(client, superuser):
    first = schedules.for_job("purge_old_content")
    other = factories.schedule(task=first.task, crontab="0 0 1 1 *", name="New year")
    schedules.for_job("cleanup_tokens").delete()
    retimed = schedules.for_job("cleanup_sessions")
    edits.retime(
        retimed, by=None, crontab=Crontab.parse("10 3 * * *"), timezone_name="Asia/Shanghai", reason="x"
    )

    found, _page = rows(client)

    by_title = {row.title: row for row in found}
    assert list(by_title)[:3] == ["Cleanup tokens", "Cleanup sessions", "Purge old content"]
    assert by_title["New year"].schedule == other
    assert not by_title["New year"].is_job
    assert by_title["Purge old content"].schedule == first
    assert by_title["Cleanup sessions"].schedule == retimed
    assert len(found) == sum(job.crontab is not None for job in jobs()) + 1


@pytest.mark.slow
def test_a_row_of_a_job_shows_all_its_runs_and_one_of_a_schedule_its_own(client, superuser):
    first = schedules.for_job("purge_old_content")
    other = factories.schedule(task=first.task, crontab="0 0 1 1 *", name="New year")
    by_hand = factories.job_run(job="purge_old_content", status="failed")
    of_other = factories.job_run(
        job="purge_old_content", schedule=other, trigger="schedule", scheduled_for=timezone.now()
    )

    found, _page = rows(client)

    last = {row.title: row.last_run for row in found}
    assert (last["Purge old content"], last["New year"]) == (of_other, of_other)
    strips = {row.title: row.figures.strip for row in found}
    assert f"#{by_hand.pk}" in strips["Purge old content"]
    assert f"#{by_hand.pk}" not in strips["New year"]


@pytest.mark.slow
def test_a_strip_is_drawn_anew_when_a_run_is_new_or_has_another_end(client, superuser):
    run = factories.job_run(job="purge_old_content", status="running")
    assert row_of(client, "purge_old_content")[0].last_run.status == "running"

    assert run.finish("partial")
    row, _page = row_of(client, "purge_old_content")
    assert (row.last_run.status, "bar-partial" in row.figures.strip) == ("partial", True)

    newer = factories.job_run(job="purge_old_content")
    assert row_of(client, "purge_old_content")[0].last_run == newer


@pytest.mark.slow
def test_an_older_run_and_another_attempt_are_followed_to_their_end(client, superuser):
    task = factories.schedule(task="maintenance.purge_old_content", crontab="0 0 1 1 *", name="New year")
    of_slot = {"job": "purge_old_content", "schedule": task, "scheduled_for": timezone.now()}
    old = factories.job_run(job="purge_old_content", status="running", dry_run=True)
    for _ in range(3):
        factories.job_run(job="purge_old_content", status="skipped")
    first = factories.job_run(status="interrupted", trigger="schedule", **of_slot)
    second = factories.job_run(status="running", trigger="retry", retry_of=first, attempt=2, **of_slot)

    def shown():
        found = {row.title: row for row in rows(client)[0]}
        strip = found["Purge old content"].figures.strip
        return found["New year"].last_run.status, f"#{old.pk} · Running" in strip

    assert shown() == ("running", True)
    assert old.finish("succeeded")
    assert second.finish("partial")
    assert shown() == ("partial", False)


@pytest.mark.slow
def test_the_usual_durations_are_those_that_the_page_of_a_run_shows(client, superuser):
    now = timezone.now()
    values = {"job": "purge_old_content", "concurrency_key": "purge_old_content"}
    for seconds, more in (
        (60, {}),
        (80, {}),
        (100, {}),
        (9000, {"status": "failed"}),
        (1, {"dry_run": True}),
        (1, {"attempt": 2}),
        (1, {"params": {"days": 3}}),
    ):
        began = now - timedelta(seconds=seconds)
        factories.job_run(**{**values, "started_at": began, "finished_at": now, **more})

    row, page = row_of(client, "purge_old_content")

    assert (row.usual.p50.seconds, row.usual.p95.seconds) == (80, 100)
    assert "1 m 20 s / 1 m 40 s" in page
    assert row.usual == usual_of(JobRun(**values, status="running"))


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


@pytest.mark.slow
def test_the_dashboard_reads_as_much_for_hundreds_of_schedules_as_for_few(client, superuser):
    def looked():
        with CaptureQueriesContext(connection) as captured:
            page = client.get(INDEX)
        return len(captured), page

    make_many(2)
    client.get(INDEX)
    few, _ = looked()
    make_many(100)
    client.get(INDEX)
    many, page = looked()
    assert many == few
    assert few <= 25
    assert "and more schedules" in page.content.decode()
    assert len(page.context["job_rows"]) <= ROWS_MAX


@pytest.mark.slow
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


@pytest.mark.slow
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
    # A person who changes only the time does not have to correct the parameters.
    form = page.context["adminform"].form
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None} | {
        "hour": "7"
    }
    data.pop("catch_up_after_pause")
    assert client.post(address, data).status_code == 302
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=task.pk))) == "0 7 * * *"
    refused = client.post(address, data | {"kwargs": '{"config": 0}'})
    assert "kwargs" in refused.context["adminform"].form.errors


@pytest.mark.slow
def test_a_dry_run_is_never_a_jobs_last_run(client, superuser):
    real = factories.job_run(job="purge_old_content", status="failed")
    for _ in range(31):
        factories.job_run(job="purge_old_content", dry_run=True)

    assert row_of(client, "purge_old_content")[0].last_run == real


@pytest.mark.slow
def test_no_link_to_schedules_is_shown_to_who_may_not_see_them(client):
    make_many(20)
    client.force_login(factories.user(SEE_RUNS))

    page = client.get(INDEX).content.decode()

    assert "and more schedules" in page
    assert f'<a href="{LIST}' not in page
