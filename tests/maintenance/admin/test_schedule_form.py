"""Schedules in the admin: what the form accepts, and at which field it refuses the rest."""

import json

import pytest
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from audit.models import Event
from maintenance.models import ScheduleControl
from maintenance.scheduling import schedules
from tests.kit import factories
from tests.maintenance.admin.steps import APPROVE, CHANGE, EDIT, FORM, LIST, RUN, SEE

pytestmark = pytest.mark.django_db


@pytest.fixture
def second_purge():
    """A schedule that is not the default of a job, so it may be given another job."""
    return factories.schedule(task="maintenance.purge_old_content", crontab="30 2 * * 0")


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    ["{", "[]", '{"days": 0}', '{"unknown": 1}'],
    ids=["no JSON", "no object", "bad value", "bad name"],
)
def test_parameters_are_checked_by_the_job(client, operator, purge, kwargs):
    response = client.post(reverse(CHANGE, args=[purge.pk]), {**FORM, "kwargs": kwargs})

    assert list(response.context["adminform"].form.errors) == ["kwargs"]


@pytest.mark.slow
def test_a_schedule_may_not_go_below_the_floor_of_the_retentions(client, operator, second_purge):
    purge = second_purge
    few = {**FORM, "kwargs": '{"days": 2}'}

    client.force_login(factories.user(SEE, EDIT, RUN))
    response = client.post(reverse(CHANGE, args=[purge.pk]), few)
    assert list(response.context["adminform"].form.errors) == ["kwargs"]
    assert PeriodicTask.objects.get(pk=purge.pk).kwargs == "{}"

    client.force_login(factories.user(SEE, EDIT, RUN, APPROVE))
    assert client.post(reverse(CHANGE, args=[purge.pk]), few).status_code == 302

    # Without the permission for so few days, a person may still change the time of a schedule that has them, but not
    # give these days to another job.
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


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"config": "\\u0000"}'])
def test_absurd_parameters_are_an_error_at_their_field(client, superuser, second_purge, kwargs):
    purge = second_purge
    page = client.post(
        reverse(CHANGE, args=[purge.pk]), {**FORM, "task": "maintenance.scrape_now", "kwargs": kwargs}
    )

    assert list(page.context["adminform"].form.errors) == ["kwargs"]


def test_a_schedule_is_added_for_a_job_and_for_nothing_else(client, superuser):
    target = reverse("admin:django_celery_beat_periodictask_add")

    refused = client.post(target, {**FORM, "name": "Evil", "task": "celery.backend_cleanup"})
    client.post(target, {**FORM, "name": "Second purge", "kwargs": '{"days": 400}'})

    assert list(refused.context["adminform"].form.errors) == ["task"]
    added = PeriodicTask.objects.get(name="Second purge")
    assert str(schedules.crontab_of(added)) == "5 4 * * mon-fri"
    assert added.control.misfire_policy == "skip"
    assert not PeriodicTask.objects.filter(name="Evil").exists()


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_stored_crontab_that_cannot_run_is_shown_as_such(client, superuser):
    broken = factories.schedule()
    CrontabSchedule.objects.filter(pk=broken.crontab_id).update(day_of_week="9")

    assert client.get(reverse(LIST)).status_code == 200
    assert client.get(reverse(CHANGE, args=[broken.pk])).status_code == 200
    assert client.get(reverse("admin:index")).status_code == 200


def test_only_the_chosen_country_offers_its_parts(client, superuser):
    client.force_login(superuser)
    task = factories.schedule()
    ScheduleControl.objects.filter(pk=task.pk).update(days_off="DE-BY")

    page = client.get(reverse(CHANGE, args=[task.pk])).content.decode()
    spanish = client.get(reverse("admin:maintenance_schedule_calendars"), {"days_off": "ES"}).content.decode()

    assert '<option value="DE-BY" selected>' in page
    assert 'value="DE-BE"' in page
    assert 'value="ES"' in page
    assert 'value="ES-MD"' not in page
    assert 'value="ES-MD"' in spanish
    assert 'value="DE-BY"' not in spanish
    assert '<option value="ES" selected>' in spanish
    assert len(page) < 100_000
    # A part of a country that the page did not offer is still a choice.
    form = {**FORM, "days_off": "ES-MD", "reason": "x"}
    assert client.post(reverse(CHANGE, args=[task.pk]), form).status_code == 302
    assert ScheduleControl.objects.get(pk=task.pk).days_off == "ES-MD"
