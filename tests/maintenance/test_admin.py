"""Schedules, runs and retentions in the admin."""

import json
import re
import threading
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from audit.models import Event
from maintenance.admin.run_figures import rows_of
from maintenance.admin.schedules import ScheduleAdmin
from maintenance.ledger import decisions, performing, requests
from maintenance.models import JobRun, RetentionPolicy, ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, schedules, seeding
from maintenance.scheduling.firetimes import Crontab
from scraping.models import RedditPost
from tests import factories
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

LIST = "admin:django_celery_beat_periodictask_changelist"
CHANGE = "admin:django_celery_beat_periodictask_change"
PREVIEW = "admin:maintenance_schedule_preview"
CRONTAB = {"minute": "5", "hour": "4", "day_of_month": "*", "month_of_year": "*", "day_of_week": "mon-fri"}
FORM = {
    **CRONTAB,
    "timezone": "Europe/Berlin",
    "name": "Purge",
    "task": "maintenance.purge_old_content",
    "description": "",
    "kwargs": "{}",
    "misfire_policy": "skip",
    "misfire_limit": "3",
    "overlap_policy": "queue_one",
}


@pytest.fixture(autouse=True)
def seeded():
    seeding.seed()


@pytest.fixture
def purge():
    return schedules.for_job("purge_old_content")


@pytest.fixture
def second_purge():
    """A schedule that is no job's default: it may be given another job."""
    return factories.schedule(task="maintenance.purge_old_content", crontab="30 2 * * 0")


@pytest.fixture
def operator(client):
    user = factories.operator(username="op")
    client.force_login(user)
    return user


@pytest.fixture
def superuser(client):
    user = factories.superuser()
    client.force_login(user)
    return user


def messages_of(response):
    return [str(message) for message in response.context["messages"]]


def listed(response):
    return list(response.context["cl"].result_list)


# --- Permissions -----------------------------------------------------------------------------------

RUN, CANCEL, APPROVE = "maintenance.run_job", "maintenance.cancel_jobrun", "maintenance.approve_run"
SEE_RUNS, SEE, EDIT = (
    "maintenance.view_jobrun",
    "django_celery_beat.view_periodictask",
    "django_celery_beat.change_periodictask",
)
VIEWS = [
    # name, method, permissions that suffice, permissions that do not, status with
    (PREVIEW, "get", [SEE], [SEE_RUNS, RUN], 200),
    ("admin:maintenance_schedule_pause", "get", [EDIT], [SEE, RUN], 200),
    ("admin:maintenance_schedule_pause", "post", [EDIT], [SEE, RUN], 200),
    ("admin:maintenance_schedule_resume", "post", [EDIT], [SEE, RUN], 302),
    ("admin:maintenance_schedule_reset", "post", [EDIT], [SEE, RUN], 302),
    ("admin:maintenance_schedule_keep", "post", [EDIT], [SEE, RUN], 302),
    ("admin:django_celery_beat_periodictask_change", "get", [SEE], [SEE_RUNS, RUN], 200),
    ("admin:django_celery_beat_periodictask_change", "post", [EDIT], [SEE, RUN], 200),
    ("admin:django_celery_beat_periodictask_delete", "post", [SEE, "django_celery_beat.delete_periodictask"], [SEE, EDIT], 302),
    ("admin:django_celery_beat_periodictask_add", "get", [SEE, EDIT, "django_celery_beat.add_periodictask"], [SEE, "django_celery_beat.add_periodictask"], 200),
    ("admin:maintenance_job_run", "get", [RUN], [SEE, EDIT, SEE_RUNS], 200),
    ("admin:maintenance_job_run", "post", [RUN], [SEE, EDIT, SEE_RUNS], 302),
    ("admin:maintenance_jobrun_changelist", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_change", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_live", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_cancel", "post", [SEE_RUNS, CANCEL], [SEE_RUNS, RUN], 302),
    ("admin:maintenance_jobrun_force_stop", "post", [SEE_RUNS, CANCEL], [SEE_RUNS, RUN], 302),
    ("admin:maintenance_jobrun_approve", "post", [SEE_RUNS, APPROVE], [SEE_RUNS, RUN, CANCEL], 302),
    ("admin:maintenance_jobrun_reject", "post", [SEE_RUNS, APPROVE], [SEE_RUNS, RUN, CANCEL], 302),
    ("admin:maintenance_retentionpolicy_change", "get", ["maintenance.view_retentionpolicy"], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_retentionpolicy_change", "post", ["maintenance.change_retentionpolicy"], ["maintenance.view_retentionpolicy"], 302),
    ("admin:maintenance_retention_preview", "post", ["maintenance.change_retentionpolicy"], ["maintenance.view_retentionpolicy", RUN, APPROVE], 200),
]  # fmt: skip


@pytest.fixture
def address(purge):
    def of(name):
        if name == PREVIEW:
            return (
                reverse(name) + "?minute=0&hour=1&day_of_month=*&month_of_year=*&day_of_week=*&timezone=UTC"
            )
        if name == "admin:maintenance_job_run":
            return reverse(name, args=["cleanup_tokens"])
        if name.endswith(("_changelist", "_add")):
            return reverse(name)
        if "jobrun" in name:
            blocked = name.endswith(("_approve", "_reject"))
            return reverse(name, args=[factories.job_run(status="blocked" if blocked else "running").pk])
        if "retention" in name:
            return reverse(name, args=[RetentionPolicy.objects.get(job="purge_old_content").pk])
        return reverse(name, args=[purge.pk])

    return of


@pytest.mark.parametrize(("name", "method", "enough", "too_little", "status"), VIEWS)
def test_every_view_asks_for_its_permission(client, address, name, method, enough, too_little, status):
    target = address(name)
    data = {"post": "yes", "days": "12", "next": ""} if method == "post" else None

    anonymous = getattr(client, method)(target, data)
    assert anonymous.status_code == 302
    assert anonymous.url.startswith(reverse("admin:login"))

    client.force_login(factories.user(*too_little))
    assert getattr(client, method)(target, data).status_code == 403

    client.force_login(factories.user(*enough))
    assert getattr(client, method)(target, data).status_code == status


@pytest.mark.parametrize("name", ["resume", "reset", "keep"])
def test_looking_changes_no_schedule(client, operator, purge, name):
    assert client.get(reverse(f"admin:maintenance_schedule_{name}", args=[purge.pk])).status_code == 405


@pytest.mark.parametrize("name", ["cancel", "force_stop", "approve", "reject"])
def test_looking_changes_no_run(client, operator, name):
    run = factories.job_run(status="blocked")

    assert client.get(reverse(f"admin:maintenance_jobrun_{name}", args=[run.pk])).status_code == 405


# --- Schedules -------------------------------------------------------------------------------------


def test_the_list_says_when_each_schedule_runs(client, operator, purge):
    factories.job_run(job="purge_old_content")

    page = client.get(reverse(LIST)).content.decode()

    assert "At 02:30, only on Sunday" in page
    assert "<code>30 2 * * 0</code>" in page
    assert 'role="switch" aria-checked="true"' in page
    assert 'class="bar-succeeded"' in page
    assert reverse("admin:maintenance_job_run", args=["purge_old_content"]) in page


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


def test_a_viewer_sees_no_way_to_change_or_run(client, purge):
    client.force_login(factories.user(SEE))

    page = client.get(reverse(LIST)).content.decode()
    form = client.get(reverse(CHANGE, args=[purge.pk])).content.decode()

    assert "disabled" in page
    assert reverse("admin:maintenance_job_run", args=["purge_old_content"]) not in page
    assert "At 02:30, only on Sunday" in form
    assert "Pause…" not in form
    assert 'name="minute"' not in form


def test_retiming_picks_another_crontab_row_and_leaves_shared_ones_alone(client, operator, purge):
    twin = PeriodicTask.objects.create(name="twin", task="maintenance.cleanup_tokens", crontab=purge.crontab)
    before = PeriodicTasks.last_change()

    response = client.post(reverse(CHANGE, args=[purge.pk]), FORM)

    assert response.status_code == 302, response.context["errors"]
    purge, twin = PeriodicTask.objects.get(pk=purge.pk), PeriodicTask.objects.get(pk=twin.pk)
    assert str(schedules.crontab_of(purge)) == "5 4 * * mon-fri"
    assert str(purge.crontab.timezone) == "Europe/Berlin"
    assert str(schedules.crontab_of(twin)) == "30 2 * * 0"
    assert (purge.control.misfire_policy, purge.control.misfire_limit, purge.control.overlap_policy) == (
        "skip",
        3,
        "queue_one",
    )
    assert PeriodicTasks.last_change() != before
    entry = Event.objects.get(verb="schedule.retimed")
    assert entry.before["schedule"] == "30 2 * * 0 Asia/Shanghai"
    assert entry.after["schedule"] == "5 4 * * mon-fri Europe/Berlin"


def test_saving_without_a_new_crontab_keeps_the_row(client, operator, purge):
    row = purge.crontab_id
    kept = {"minute": "30", "hour": "2", "day_of_week": "0", "timezone": "Asia/Shanghai"}

    client.post(reverse(CHANGE, args=[purge.pk]), {**FORM, **kept, "name": "Renamed"})

    purge.refresh_from_db()
    assert (purge.name, purge.crontab_id) == ("Renamed", row)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("minute", "60"),
        ("hour", "24"),
        ("day_of_month", "0"),
        ("month_of_year", "13"),
        ("day_of_week", "7"),
        ("minute", "x"),
    ],
)
def test_an_invalid_crontab_is_an_error_at_its_field(client, operator, purge, field, value):
    rows = CrontabSchedule.objects.count()

    response = client.post(reverse(CHANGE, args=[purge.pk]), {**FORM, field: value})

    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "30 2 * * 0"
    assert CrontabSchedule.objects.count() == rows


@pytest.mark.parametrize(
    "kwargs",
    ["{", "[]", '{"days": 0}', '{"unknown": 1}'],
    ids=["no JSON", "no object", "bad value", "bad name"],
)
def test_parameters_are_checked_by_the_job(client, operator, purge, kwargs):
    response = client.post(reverse(CHANGE, args=[purge.pk]), {**FORM, "kwargs": kwargs})

    assert list(response.context["adminform"].form.errors) == ["kwargs"]


def test_a_schedule_may_not_go_below_the_floor_of_the_retentions(client, operator, second_purge):
    purge = second_purge
    few = {**FORM, "kwargs": '{"days": 2}'}

    client.force_login(factories.user(SEE, EDIT, RUN))
    response = client.post(reverse(CHANGE, args=[purge.pk]), few)
    assert list(response.context["adminform"].form.errors) == ["kwargs"]
    assert PeriodicTask.objects.get(pk=purge.pk).kwargs == "{}"

    client.force_login(factories.user(SEE, EDIT, RUN, APPROVE))
    assert client.post(reverse(CHANGE, args=[purge.pk]), few).status_code == 302

    # Who may not go so low may still move the time of a schedule that does, but not give its days to another job.
    client.force_login(factories.user(SEE, EDIT, RUN))
    assert client.post(reverse(CHANGE, args=[purge.pk]), {**few, "hour": "9"}).status_code == 302
    response = client.post(reverse(CHANGE, args=[purge.pk]), {**few, "task": "maintenance.cleanup_sessions"})
    assert list(response.context["adminform"].form.errors) == ["task"]


def test_a_schedule_starts_nothing_that_its_editor_may_not_run(client, second_purge):
    purge = second_purge
    bot = factories.bot_config()
    client.force_login(
        factories.user("django_celery_beat.view_periodictask", "django_celery_beat.change_periodictask")
    )
    form = {**FORM, "task": "maintenance.scrape_now", "kwargs": json.dumps({"config": bot.pk})}

    page = client.post(reverse(CHANGE, args=[purge.pk]), form)

    assert page.context["adminform"].form.errors == {"task": ["You may not run Scrape now."]}
    assert PeriodicTask.objects.get(pk=purge.pk).task == "maintenance.purge_old_content"


@pytest.mark.parametrize("kwargs", ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"config": "\\u0000"}'])
def test_absurd_parameters_are_an_error_at_their_field(client, superuser, second_purge, kwargs):
    purge = second_purge
    page = client.post(
        reverse(CHANGE, args=[purge.pk]), {**FORM, "task": "maintenance.scrape_now", "kwargs": kwargs}
    )

    assert list(page.context["adminform"].form.errors) == ["kwargs"]


def opened(client, address):
    """The form's hidden field as the page brings it."""
    page = client.get(address)
    form = page.context["adminform"].form if "adminform" in page.context else page.context["form"]
    value = form["opened"].value()
    assert f'name="opened" value="{escape(value)}"' in page.content.decode()
    return {"opened": value}


def test_an_edit_does_not_undo_unasked_what_somebody_else_saved_meanwhile(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, "name": purge.name, **opened(client, address)}
    edits.retime(purge, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="Asia/Shanghai")
    ScheduleControl.objects.filter(pk=purge.pk).update(overlap_policy="queue_one")

    page = client.post(address, form)

    assert page.status_code == 200
    (stale, again) = page.context["adminform"].form.non_field_errors()
    assert stale == (
        "Somebody else has changed this since you opened it: Minute, Hour, Day of week, Overlap."
    )
    assert again == "Save again to replace that by what stands here."
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "0 9 * * *"

    form["opened"] = page.context["adminform"].form["opened"].value()
    assert client.post(address, form).status_code == 302
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "5 4 * * mon-fri"


@pytest.mark.parametrize("garbage", ["5", "[]", "{", '"x"', "[" * 100_000, "\x00"])
def test_a_form_whose_memory_is_garbage_asks_again(client, operator, purge, garbage):
    address = reverse(CHANGE, args=[purge.pk])

    page = client.post(address, {**FORM, "opened": garbage})

    (stale, _) = page.context["adminform"].form.non_field_errors()
    assert stale.startswith("Somebody else has changed this since you opened it: ")
    assert "None" not in stale
    form = {**FORM, "opened": page.context["adminform"].form["opened"].value()}
    assert client.post(address, form).status_code == 302


def test_saving_the_same_twice_is_nobodys_edit(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, "reason": "quieter then", **opened(client, address)}
    assert [client.post(address, form).status_code for _ in range(2)] == [302, 302]

    address = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    form = {"reason": "noise", "until": "", **opened(client, address)}
    assert [client.post(address, form).status_code for _ in range(2)] == [302, 302]


def test_a_schedule_with_parameters_that_nobody_can_read_stands_in_the_list(client, operator, purge):
    PeriodicTask.objects.filter(pk=purge.pk).update(kwargs="[" * 100_000)

    assert client.get(reverse(LIST)).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["form", "pause", "mode", "retention"])
def test_looking_at_a_form_takes_no_lock_and_posting_it_does(client, purge, kind):
    client.force_login(factories.superuser())
    address = {
        "form": reverse(CHANGE, args=[purge.pk]),
        "pause": reverse("admin:maintenance_schedule_pause", args=[purge.pk]),
        "mode": reverse("admin:maintenance_mode"),
        "retention": reverse(
            "admin:maintenance_retentionpolicy_change",
            args=[RetentionPolicy.objects.get(job="purge_old_content").pk],
        ),
    }[kind]
    client.get(address)  # what is made at the first look is made
    begins = "BEGIN" if connection.vendor == "sqlite" else "FOR UPDATE"

    with CaptureQueriesContext(connection) as looking:
        client.get(address)
    with CaptureQueriesContext(connection) as posting:
        client.post(address, {"reason": ""})  # refused, so that no service adds a lock of its own

    assert not any(begins in query["sql"] for query in looking)
    first = next(i for i, query in enumerate(posting) if begins in query["sql"])
    table = {"mode": "maintenancemode", "retention": "retentionpolicy"}.get(kind, "periodictask")
    assert any(f"maintenance_{table}" in q["sql"] or f"beat_{table}" in q["sql"] for q in posting[first:])


def test_a_tick_and_a_pause_meanwhile_are_in_nobodys_way(client, operator, purge):
    address = reverse(CHANGE, args=[purge.pk])
    form = {**FORM, **opened(client, address)}
    PeriodicTask.objects.filter(pk=purge.pk).update(total_run_count=7, last_run_at=timezone.now())
    edits.pause(purge, by=None, reason="x")

    assert client.post(address, form).status_code == 302
    assert not PeriodicTask.objects.get(pk=purge.pk).enabled


def test_a_pause_does_not_replace_unasked_what_somebody_else_wrote_meanwhile(client, operator, purge):
    address = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    form = {"reason": "noise", "until": "", **opened(client, address)}
    until = timezone.now() + timedelta(hours=3)
    edits.pause(purge, by=None, reason="migration", until=until)

    page = client.post(address, form)

    assert "Somebody else has changed this" in page.content.decode()
    assert "Change the pause of" in page.content.decode()
    control = ScheduleControl.objects.get(pk=purge.pk)
    assert (control.pause_reason, control.paused_until) == ("migration", until)

    form |= {"opened": page.context["form"]["opened"].value()}
    assert client.post(address, form).status_code == 302
    replaced = ScheduleControl.objects.get(pk=purge.pk)
    assert (replaced.pause_reason, replaced.paused_until) == ("noise", None)
    assert replaced.paused_at == control.paused_at
    change = Event.objects.latest("pk")
    assert (change.before["pause"], change.before["until"]) == ("migration", until.isoformat())
    history = client.get(
        reverse("admin:django_celery_beat_periodictask_history", args=[purge.pk]), follow=True
    )
    assert "migration →" in history.content.decode()


def test_resuming_what_is_not_paused_changes_nothing_and_says_so(client, operator, purge):
    answer = client.post(reverse("admin:maintenance_schedule_resume", args=[purge.pk]), follow=True)

    assert "Purge old content is active already." in answer.content.decode()
    assert not Event.objects.exists()


def test_a_change_of_maintenance_mode_does_not_switch_it_on_again_unasked(client, superuser):
    address = reverse("admin:maintenance_mode")
    maintenance_mode.start(by=None, reason="deploy")
    form = {"reason": "the deploy takes longer", "until": "", **opened(client, address)}
    maintenance_mode.end(by=None)

    page = client.post(address, form)

    assert "Somebody else has changed this since you opened it" in page.content.decode()
    assert not maintenance_mode.is_on()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai"])
@pytest.mark.parametrize("kind", ["pause", "mode"])
def test_an_absurd_end_is_an_error_at_its_field(client, superuser, purge, settings, kind, zone):
    settings.TIME_ZONE = zone
    if kind == "pause":
        address = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    else:
        address = reverse("admin:maintenance_mode")
    answer = client.post(address, {"reason": "x", "until": "9999-12-31T23:59"})

    assert answer.context["form"].errors == {
        "until": ["The end is more than ten years ahead: leave it empty instead."]
    }
    assert PeriodicTask.objects.get(pk=purge.pk).enabled
    assert not maintenance_mode.is_on()


def test_a_schedule_is_added_for_a_job_and_for_nothing_else(client, superuser):
    target = reverse("admin:django_celery_beat_periodictask_add")

    refused = client.post(target, {**FORM, "name": "Evil", "task": "celery.backend_cleanup"})
    client.post(target, {**FORM, "name": "Second purge", "kwargs": '{"days": 400}'})

    assert list(refused.context["adminform"].form.errors) == ["task"]
    added = PeriodicTask.objects.get(name="Second purge")
    assert str(schedules.crontab_of(added)) == "5 4 * * mon-fri"
    assert added.control.misfire_policy == "skip"
    assert not PeriodicTask.objects.filter(name="Evil").exists()


def test_somebody_elses_task_is_listed_and_editable_without_the_jobs_tools(client, superuser):
    foreign = factories.schedule(task="other.task", name="Foreign", queue="elsewhere")
    every = IntervalSchedule.objects.create(every=10, period="seconds")
    timer = PeriodicTask.objects.create(name="Timer", task="other.timer", queue="other", interval=every)

    page = client.get(reverse(LIST)).content.decode()
    client.post(
        reverse(CHANGE, args=[foreign.pk]),
        {**FORM, "name": "Renamed", "task": "maintenance.purge_old_content"},
    )
    form = client.get(reverse(CHANGE, args=[timer.pk]))
    client.post(reverse(CHANGE, args=[timer.pk]), {**FORM, "name": "Slow timer"})

    assert "Foreign" in page
    assert "Timer" in page
    foreign.refresh_from_db()
    assert (foreign.name, foreign.task) == ("Renamed", "other.task")
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=foreign.pk))) == "5 4 * * mon-fri"
    assert "Run now" not in form.content.decode()
    timer.refresh_from_db()
    assert (timer.name, timer.interval, timer.crontab) == ("Slow timer", every, None)


def test_a_stored_crontab_that_cannot_run_is_shown_as_such(client, superuser):
    broken = factories.schedule()
    CrontabSchedule.objects.filter(pk=broken.crontab_id).update(day_of_week="9")

    assert client.get(reverse(LIST)).status_code == 200
    assert client.get(reverse(CHANGE, args=[broken.pk])).status_code == 200
    assert client.get(reverse("admin:index")).status_code == 200


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

    def delete():
        with transaction.atomic():
            ScheduleAdmin(PeriodicTask, admin.site).delete_model(rf.post("/"), task)
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
        attempt = requests.request_next_attempt(run)  # would be a deadlock if the schedule were locked first
    thread.join(20)

    attempt.refresh_from_db()
    assert (attempt.schedule, attempt.status) == (None, "queued")
    assert not PeriodicTask.objects.filter(pk=task.pk).exists()


def test_the_page_that_pauses_asks_for_a_reason(client, operator, purge):
    target = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    until = timezone.localtime(timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)

    # The switch of a list: no reason yet, so nothing happens.
    client.post(target, {"next": "/admin/"})
    assert PeriodicTask.objects.get(pk=purge.pk).enabled
    assert "reason" in client.post(target, {"reason": " "}).context["form"].errors
    past = {"reason": "disk", "until": "2001-01-01T00:00"}
    assert "until" in client.post(target, past).context["form"].errors
    assert PeriodicTask.objects.get(pk=purge.pk).enabled

    response = client.post(target, {"reason": "disk", "until": f"{until:%Y-%m-%dT%H:%M}", "next": "/admin/"})

    assert response.url == "/admin/"
    control = ScheduleControl.objects.get(schedule=purge)
    assert not control.schedule.enabled
    assert (control.pause_reason, control.paused_until, control.paused_by) == ("disk", until, operator)


def test_resuming_needs_no_question(client, operator, purge):
    edits.pause(purge, by=operator, reason="disk")

    response = client.post(
        reverse("admin:maintenance_schedule_resume", args=[purge.pk]), {"next": "https://evil.example/"}
    )

    assert response.url == reverse(LIST)
    assert PeriodicTask.objects.get(pk=purge.pk).enabled


def test_reset_is_offered_where_the_schedule_differs_and_puts_the_default_back(client, operator, purge):
    target = reverse("admin:maintenance_schedule_reset", args=[purge.pk])
    assert target not in client.get(reverse(CHANGE, args=[purge.pk])).content.decode()
    edits.retime(purge, by=operator, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")
    assert target in client.get(reverse(CHANGE, args=[purge.pk])).content.decode()

    client.post(target)

    assert schedules.deviation(PeriodicTask.objects.get(pk=purge.pk)) is None


def test_a_changed_default_is_shown_and_kept_or_taken(client, operator, purge):
    ScheduleControl.objects.filter(pk=purge.pk).update(default_crontab="5 5 * * *")
    edits.retime(purge, by=operator, crontab=Crontab.parse("5 5 * * *"), timezone_name="Asia/Shanghai")
    keep = reverse("admin:maintenance_schedule_keep", args=[purge.pk])

    page = client.get(reverse(CHANGE, args=[purge.pk])).content.decode()
    assert "still runs by the former default" in page
    assert keep in page
    assert "default changed" in client.get(reverse(LIST)).content.decode()

    client.post(keep)

    assert keep not in client.get(reverse(CHANGE, args=[purge.pk])).content.decode()
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "5 5 * * *"


def test_history_tells_before_after_and_reason(client, operator, purge):
    edits.pause(purge, by=operator, reason="disk is full")

    address = reverse("admin:django_celery_beat_periodictask_history", args=[purge.pk])
    page = client.get(address, follow=True).content.decode()

    assert "disk is full" in page
    assert page.count("30 2 * * 0 Asia/Shanghai") == 2


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
    assert page.count("04:05 CST") == 5
    assert page.count("20:05") == 5
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


# --- Running a job -----------------------------------------------------------------------------------


def job_page(slug, query=""):
    return reverse("admin:maintenance_job_run", args=[slug]) + query


def test_the_page_that_runs_shows_what_would_go(client, operator):
    old = timezone.now() - timedelta(days=91)
    doomed = factories.post(created_at=old)
    factories.comment(post=doomed)
    factories.post()

    response = client.get(job_page("purge_old_content"))

    page = response.content.decode()
    assert [(row.rows, row.total) for row in response.context["plan"].tables] == [(1, 2), (1, 1)]
    assert "Run now and delete 2 rows" in page
    assert "(90 days)" in page
    assert not JobRun.objects.exists()


def test_the_page_that_runs_names_the_overrides(client, operator):
    factories.retention_override(
        policy=RetentionPolicy.objects.get(job="purge_old_content"), subreddit="python", days=365
    )

    page = client.get(job_page("purge_old_content")).content.decode()
    other = client.get(job_page("cleanup_tokens")).content.decode()

    assert "<dt>r/python</dt> <dd>365 days</dd>" in " ".join(page.split())
    assert "Overrides" not in other


def test_a_run_below_the_floor_is_refused_by_the_name_of_what_is_missing(client):
    client.force_login(factories.user(RUN))

    response = client.get(job_page("purge_old_content", "?days=2"))

    assert response.status_code == 403
    assert "fewer than 7 days take the permission to approve runs" in response.content.decode()
    others = client.get(job_page("scrape_now", f"?config={factories.bot_config().pk}"))
    assert "You may not run Scrape now." in others.content.decode()


def confirmed(page):
    """What the form of the job's page would post with Run now."""
    return {"run": "1", "plan": page.context["plan_token"]}


def test_a_run_remembers_the_plan_that_was_shown_and_says_how_the_world_moved(client, operator):
    old = timezone.now() - timedelta(days=91)
    factories.post(created_at=old)
    page = client.get(job_page("purge_old_content"))
    factories.post(created_at=old)

    client.post(job_page("purge_old_content"), confirmed(page))
    run = JobRun.objects.get()
    performing.perform(run)

    assert run.mandate["rows"] == {"scraping.RedditPost": 1, "scraping.RedditComment": 0}
    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    assert "Posts: 1 were planned, at the start there were 2." in page


def test_the_plan_of_a_dry_run_is_shown_and_run(client, operator):
    post = factories.post(created_at=timezone.now() - timedelta(days=91), title="An old title")
    dry = requests.request_run(job="purge_old_content", trigger="admin", dry_run=True, send=False)
    performing.perform(dry)
    dry_page = client.get(reverse("admin:maintenance_jobrun_change", args=[dry.pk]))
    address = job_page("purge_old_content", f"?plan={dry.pk}")
    assert address in dry_page.content.decode()

    page = client.get(address)
    client.post(address, confirmed(page))

    assert f"What dry run #{dry.pk} would have deleted" in page.content.decode()
    assert JobRun.objects.latest("id").mandate["plan"] == dry.pk
    assert RedditPost.objects.get() == post


def test_an_old_plan_starts_nothing_and_offers_a_new_one(client, operator, monkeypatch):
    factories.post(created_at=timezone.now() - timedelta(days=91))
    page = client.get(job_page("purge_old_content"))
    monkeypatch.setattr(decisions, "PLAN_FRESH", timedelta(seconds=-1))

    response = client.post(job_page("purge_old_content"), confirmed(page))

    assert response.status_code == 400
    assert "older than 15 minutes" in response.content.decode()
    assert not JobRun.objects.exists()


@pytest.mark.parametrize("forge", [lambda token: token + "x", lambda token: "nonsense"])
def test_a_plan_that_was_not_shown_starts_nothing(client, operator, forge):
    form = confirmed(client.get(job_page("purge_old_content")))
    form["plan"] = forge(form["plan"])

    assert client.post(job_page("purge_old_content"), form).status_code == 400
    assert client.post(job_page("cleanup_sessions"), confirmed_of_another(client)).status_code == 400
    assert not JobRun.objects.exists()


def confirmed_of_another(client):
    return confirmed(client.get(job_page("purge_old_content")))


def test_sample_rows_are_shown_only_to_who_may_see_them(client, operator):
    post = factories.post(created_at=timezone.now() - timedelta(days=91), title="An old title")

    hidden = client.get(job_page("purge_old_content")).content.decode()
    client.force_login(factories.superuser())
    page = client.get(job_page("purge_old_content")).content.decode()

    assert "An old title" not in hidden
    assert "An old title" in page
    assert reverse("admin:scraping_redditpost_change", args=[post.pk]) in page


def test_a_retention_in_the_address_is_what_is_shown_and_run(client, operator):
    factories.post(created_at=timezone.now() - timedelta(days=20))

    assert client.get(job_page("purge_old_content", "?days=30")).context["planned_rows"] == 0
    assert client.get(job_page("purge_old_content", "?days=10")).context["planned_rows"] == 1
    client.post(job_page("purge_old_content", "?days=10"), {"run": "1"})

    assert JobRun.objects.get().params == {"days": 10}


@pytest.mark.parametrize("query", ["?days=0", "?days=x", "?dayz=5"])
def test_a_parameter_that_cannot_be_used_runs_nothing(client, operator, query):
    for method in (client.get, client.post):
        response = method(job_page("purge_old_content", query))
        assert response.status_code == 400
        assert 'name="run"' not in response.content.decode()
    assert not JobRun.objects.exists()


@pytest.mark.parametrize("query", ["", "?config=999999"])
def test_a_bot_that_is_not_there_is_scraped_by_nobody(client, superuser, query):
    assert client.get(job_page("scrape_now", query)).status_code == 400

    client.force_login(factories.user())
    assert client.get(job_page("scrape_now", query)).status_code == 403


@pytest.mark.parametrize(("button", "dry_run"), [("run", False), ("dry_run", True)])
def test_posting_requests_the_run_and_leads_to_it(client, operator, button, dry_run):
    response = client.post(job_page("cleanup_tokens"), {button: "1"})

    run = JobRun.objects.get()
    assert response.url == reverse("admin:maintenance_jobrun_change", args=[run.pk])
    assert (run.job, run.trigger, run.requested_by, run.dry_run) == (
        "cleanup_tokens",
        "admin",
        operator,
        dry_run,
    )
    assert Event.objects.filter(subject_id=str(run.pk), actor=operator).exists()


def test_it_warns_of_a_run_that_is_under_way(client, operator):
    running = factories.job_run(status="running", job="cleanup_tokens", concurrency_key="cleanup_tokens")

    page = client.get(job_page("cleanup_tokens")).content.decode()

    assert f"Cleanup tokens #{running.pk}" in page
    assert "is still running" in page


def test_a_job_that_deletes_nothing_has_a_plain_page(client, operator):
    page = client.get(job_page("auto_scraping")).content.decode()

    assert "Run now" in page
    assert "would delete" not in page


def test_there_is_no_page_for_an_unknown_job(client, operator):
    assert client.get(job_page("no_such_job")).status_code == 404


def test_a_bot_is_scraped_by_its_owner_and_by_nobody_elses_hand(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner, name="Photos")
    query = f"?config={bot.pk}"

    client.force_login(factories.operator())
    assert client.get(job_page("scrape_now", query)).status_code == 403
    assert client.post(job_page("scrape_now", query), {"run": "1"}).status_code == 403

    client.force_login(owner)
    assert "Photos" in client.get(job_page("scrape_now", query)).content.decode()
    assert client.post(job_page("scrape_now", query), {"run": "1"}).status_code == 302
    assert JobRun.objects.get().params == {"config": bot.pk}


# --- Runs ----------------------------------------------------------------------------------------------


def test_runs_are_read_only_even_for_superusers(client, superuser):
    run = factories.job_run()

    assert client.get(reverse("admin:maintenance_jobrun_add")).status_code == 403
    assert (
        client.post(
            reverse("admin:maintenance_jobrun_change", args=[run.pk]), {"status": "failed"}
        ).status_code
        == 403
    )
    assert (
        client.post(reverse("admin:maintenance_jobrun_delete", args=[run.pk]), {"post": "yes"}).status_code
        == 403
    )
    assert JobRun.objects.get().status == "succeeded"


def test_bot_owners_see_the_runs_of_their_own_bots_only(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner)
    mine = factories.job_run(job="scrape_now", params={"config": bot.pk})
    others = factories.job_run(job="scrape_now", params={"config": factories.bot_config().pk})
    job = factories.job_run()
    client.force_login(owner)

    assert listed(client.get(reverse("admin:maintenance_jobrun_changelist"))) == [mine]
    assert client.get(reverse("admin:maintenance_jobrun_change", args=[mine.pk])).status_code == 200
    assert client.get(reverse("admin:maintenance_jobrun_live", args=[mine.pk])).status_code == 200
    for run in (others, job):
        assert client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).status_code == 404
        assert client.get(reverse("admin:maintenance_jobrun_live", args=[run.pk])).status_code == 404


@pytest.mark.parametrize("term", ["{pk}", "#{pk}", "purge_old_content", "Purge old content", "lock timeout"])
def test_runs_are_found_by_number_job_and_words_of_a_failure(client, operator, term):
    wanted = factories.job_run(
        job="purge_old_content", status="failed", error="canceling due to lock timeout"
    )
    factories.job_run(status="failed", error="other")

    response = client.get(reverse("admin:maintenance_jobrun_changelist"), {"q": term.format(pk=wanted.pk)})

    assert listed(response) == [wanted]


def test_the_tile_of_failures_leads_to_them(client, operator):
    failed, partial = factories.job_run(status="failed"), factories.job_run(status="partial")
    factories.job_run()

    response = client.get(reverse("admin:maintenance_jobrun_changelist"), {"status__in": "failed,partial"})

    assert listed(response) == [partial, failed]


def test_rows_are_what_was_deleted_or_newly_stored():
    assert rows_of(JobRun(counts={"scraping.RedditPost": 2, "scraping.RedditComment": 3})) == 5
    assert rows_of(JobRun(counts={"posts_found": 9, "posts_new": 2, "comments_new": 4})) == 6
    assert rows_of(JobRun(counts={})) is None


def test_a_runs_page_shows_facts_counts_error_log_and_attempts(client, operator):
    first = factories.job_run(status="interrupted")
    run = factories.job_run(
        status="failed", trigger="retry", retry_of=first, attempt=2, error="boom <b>", traceback="Traceback: boom",
        counts={"accounts.RefreshToken": 1234}, requested_by_name="lin",
    )  # fmt: skip
    last = factories.job_run(retry_of=run, attempt=3, trigger="retry")
    factories.log_line(run=run, text="a <line>", level="warning")
    session = factories.session(run=run)

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()

    for text in (
        "boom &lt;b&gt;",
        "Traceback: boom",
        "1,234",
        "Retry · lin",
        "a &lt;line&gt;",
        "level-warning",
    ):
        assert text in page
    for other in (first, last):
        assert reverse("admin:maintenance_jobrun_change", args=[other.pk]) in page
    assert reverse("admin:scraping_scrapesession_change", args=[session.pk]) in page
    assert "hx-get" not in page


def test_polling_brings_new_lines_only_and_ends_with_the_run(client, operator):
    run = factories.job_run(status="running", progress_done=1, progress_total=4)
    seen = factories.log_line(run=run, text="first line")
    new = factories.log_line(run=run, text="second line")
    target = reverse("admin:maintenance_jobrun_live", args=[run.pk])

    page = client.get(target, {"after": seen.pk}).content.decode()

    assert "first line" not in page
    assert "second line" in page
    assert f'hx-get="{target}?after={new.pk}&amp;v=' in page
    assert f"after={new.pk}" in client.get(target, {"after": new.pk}).content.decode()

    run.finish("succeeded", message="all done")
    page = client.get(target, {"after": new.pk}).content.decode()
    assert "all done" in page
    assert "hx-get" not in page


def version_in(page):
    return re.search(r"&amp;v=([0-9a-f.]+)", page).group(1)


def test_a_poll_that_has_the_latest_version_is_told_nothing(client, operator):
    run = factories.job_run(status="running", progress_done=1, progress_total=4)
    target = reverse("admin:maintenance_jobrun_live", args=[run.pk])
    version = version_in(client.get(target).content.decode())

    later = timezone.now() + timedelta(seconds=90)
    with mock.patch.object(timezone, "now", return_value=later):
        assert client.get(target, {"v": version}).status_code == 204

    run.record(progress_done=2)
    page = client.get(target, {"v": version}).content.decode()
    assert 'id="run-status"' in page
    assert 'id="run-facts"' not in page  # as it was: what a reader has selected in it stays
    session = factories.session(run=run, status="running", finished_at=None)
    page = client.get(target, {"v": version_in(page)}).content.decode()
    assert session.config_name in page
    session.record(posts_found=7)
    assert ">7<" in client.get(target, {"v": version_in(page)}).content.decode()


@pytest.mark.parametrize("v", ["", "x", "1.2.3", "." * 50])
def test_a_poll_with_an_odd_version_is_told_everything(client, operator, v):
    run = factories.job_run(status="running")

    page = client.get(reverse("admin:maintenance_jobrun_live", args=[run.pk]), {"v": v}).content.decode()

    assert 'id="run-facts"' in page


@pytest.mark.parametrize("after", ["x", "", "-1"])
def test_a_poll_with_a_bad_position_starts_over(client, operator, after):
    run = factories.job_run(status="running")
    factories.log_line(run=run, text="first line")

    page = client.get(
        reverse("admin:maintenance_jobrun_live", args=[run.pk]), {"after": after}
    ).content.decode()

    assert "first line" in page


def test_cancelling_ends_a_queued_run_and_asks_a_running_one(client, operator):
    queued, running = factories.job_run(status="queued"), factories.job_run(status="running")
    over = factories.job_run(status="succeeded")

    for run in (queued, running, over):
        client.post(reverse("admin:maintenance_jobrun_cancel", args=[run.pk]))
        run.refresh_from_db()

    assert queued.status == "cancelled"
    assert running.status == "running"
    assert running.cancel_requested_at is not None
    assert over.status == "succeeded"


def test_a_blocked_run_is_decided_with_a_reason(client, operator):
    approved, rejected, silent = (factories.job_run(status="blocked") for _ in range(3))

    client.post(
        reverse("admin:maintenance_jobrun_approve", args=[approved.pk]), {"reason": "checked the plan"}
    )
    client.post(reverse("admin:maintenance_jobrun_reject", args=[rejected.pk]), {"reason": "too much"})
    client.post(reverse("admin:maintenance_jobrun_approve", args=[silent.pk]), {"reason": ""})

    for run in (approved, rejected, silent):
        run.refresh_from_db()
    assert (approved.status, rejected.status, silent.status) == ("queued", "cancelled", "blocked")
    assert "checked the plan" in approved.message


def test_a_run_that_would_wait_is_asked_for_and_not_started(client, superuser, settings):
    factories.post(created_at=timezone.now() - timedelta(days=400))
    page = " ".join(client.get(job_page("purge_old_content")).content.decode().split())
    assert "Run now and delete 1 row" in page

    settings.PURGE_CAP_ROWS = 0
    page = " ".join(client.get(job_page("purge_old_content")).content.decode().split())

    assert "Ask to delete 1 row (waits for approval)" in page
    assert "Run now and delete" not in page
