"""A schedule's time in its form: crontab, interval or once, with a start and an end; and its preview."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.cache import caches
from django.urls import reverse
from django.utils.html import escape
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.scheduling import edits, neighbours, schedules
from maintenance.scheduling.crontab import InvalidTime
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.maintenance.admin.steps import CHANGE, CRONTAB, FORM, PREVIEW

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)  # a Friday
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def person(client):
    person = factories.superuser()
    client.force_login(person)
    return person


@pytest.fixture
def task():
    return factories.schedule(name="Tokens", crontab="0 1 * * *")


def reread(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def save(client, task, **fields):
    """Save the form; return its errors."""
    form = {**FORM, "name": "Tokens", "task": "maintenance.cleanup_tokens", **fields}
    response = client.post(reverse(CHANGE, args=[task.pk]), form)
    return {} if response.status_code == 302 else response.context["adminform"].form.errors


def next_times(task, number=3):
    return [f"{time:%m-%d %H:%M}" for time in schedules.upcoming(reread(task), number)]


def test_an_interval_counts_from_its_start_in_the_zone_and_ends(client, person, task):
    fields = {"kind": "interval", "every": "90", "unit": "minutes", "timezone": "Europe/Berlin"}

    assert not save(client, task, **fields, starts_at="2026-11-27T20:00", ends_at="2026-11-27T22:00")

    assert next_times(task) == ["11-27 19:00", "11-27 20:30"]
    assert Timing.of(reread(task)).every == timedelta(minutes=90)
    event = Event.objects.get(verb="schedule.retimed")
    assert (event.actor_name, event.after["start"]) == (person.username, "2026-11-27T19:00:00+00:00")


def test_a_moment_makes_a_one_off_and_a_crontab_none(client, person, task):
    assert not save(client, task, kind="once", once_at="2026-12-01T03:00", timezone="Asia/Shanghai")
    assert (reread(task).one_off, next_times(task)) == (True, ["11-30 19:00"])

    assert not save(client, task, kind="crontab", timezone="UTC")
    assert (reread(task).one_off, next_times(task, 1)) == (False, ["11-30 04:05"])


def test_a_one_off_that_has_run_runs_again_at_its_next_moment(client, person, task):
    edits.set_time(task, by=None, time=Timing(clocked=NOON + HOUR))
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=False)

    assert not save(client, task, kind="once", once_at="2026-11-28T00:00", timezone="UTC")

    assert (reread(task).enabled, next_times(task)) == (True, ["11-28 00:00"])


def test_saving_the_form_unchanged_keeps_a_moment_to_the_microsecond_even_when_it_is_over(
    client, person, task
):
    edits.set_time(task, by=None, time=Timing(clocked=NOON + timedelta(seconds=30, microseconds=5)))
    with time_machine.travel(NOON + HOUR, tick=False):
        assert not save(
            client, task, kind="once", once_at="2026-11-27T12:00:30", timezone="UTC", name="Renamed"
        )

    assert reread(task).name == "Renamed"
    assert Timing.of(reread(task)).clocked == NOON + timedelta(seconds=30, microseconds=5)
    assert Event.objects.filter(verb="schedule.retimed").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("once_at", {"kind": "once", "once_at": "2026-11-27T11:59"}),
        ("once_at", {"kind": "once", "once_at": ""}),
        ("once_at", {"kind": "once", "once_at": "2026-12-01T00:00", "ends_at": "x", "starts_at": ""}),
        ("every", {"kind": "interval", "every": "0", "unit": "minutes"}),
        ("every", {"kind": "interval", "every": "", "unit": "minutes"}),
        ("every", {"kind": "interval", "every": "999999999", "unit": "days"}),
        ("ends_at", {"ends_at": "2026-11-27T11:00"}),
        ("ends_at", {"starts_at": "2026-12-02T00:00", "ends_at": "2026-12-01T00:00"}),
        ("ends_at", {"ends_at": "2026-11-27T13:00"}),  # no slot until then
        ("minute", {"minute": ""}),
        ("kind", {"kind": "sun"}),
    ],
)
def test_a_refusal_stands_at_its_field_and_nothing_is_saved(client, person, task, field, fields):
    errors = save(client, task, timezone="UTC", **fields)

    assert field in errors or errors.keys() == {"ends_at"}
    assert errors
    assert next_times(task, 1) == ["11-28 01:00"]
    assert Event.objects.count() == 0


def test_fields_of_another_kind_may_hold_anything(client, person, task):
    assert not save(client, task, kind="interval", every="2", unit="hours", minute="x", once_at="y")
    assert Timing.of(reread(task)).every == 2 * HOUR


def test_a_time_is_refused_by_the_service_too(task):
    for wrong in (
        Timing(),
        Timing(every=HOUR, clocked=NOON + HOUR),
        Timing(every=timedelta(0)),
        Timing(clocked=NOON),
    ):
        with pytest.raises(InvalidTime):
            edits.set_time(task, by=None, time=wrong)

    assert next_times(task, 1) == ["11-28 01:00"]


# --- The preview -----------------------------------------------------------------------------


def shown(client, **fields):
    return client.get(reverse(PREVIEW), {**CRONTAB, "timezone": "UTC", **fields}).content.decode()


def test_it_shows_ten_slots_in_the_zones_of_the_schedule_and_of_the_reader(client, person):
    page = shown(client, day_of_week="*", timezone="Europe/Berlin", reader_zone="Asia/Shanghai")

    assert page.count("<tr>") == 11
    assert "2026-11-28 04:05 UTC+1" in page
    assert "11-28 03:05" in page
    assert "2026-11-28 11:05 UTC+8" in page
    assert "(yours)" not in shown(client, reader_zone="nowhere/../x")


def test_it_marks_the_slot_after_the_clocks_have_changed(client, person):
    page = shown(client, day_of_month="1", day_of_week="*", timezone="Europe/Berlin")

    assert page.count("clocks changed") == 1
    april = page.index("2027-04-01 04:05 UTC+2")
    assert april < page.index("clocks changed") < page.index("2027-05-01")


def test_it_tells_an_interval_and_a_moment_with_their_limits(client, person):
    every = shown(client, kind="interval", every="6", unit="hours", ends_at="2026-11-28T00:00")
    once = shown(client, kind="once", once_at="2026-12-01T03:00")

    assert [moment in every for moment in ("11-27 18:00", "11-28 00:00", "11-28 06:00")] == [
        True,
        True,
        False,
    ]
    assert once.count("<tr>") == 2
    assert "Once, at 2026-12-01 03:00 UTC" in once
    assert "This moment has passed" in shown(client, kind="once", once_at="2026-11-01T03:00")


def test_the_button_shows_it_without_a_script_and_saves_nothing(client, person, task):
    form = {**FORM, "name": "Other", "task": "maintenance.cleanup_tokens", "timezone": "UTC", "hour": "7"}

    response = client.post(reverse(CHANGE, args=[task.pk]), {**form, "_preview": "1"})

    page = response.content.decode()
    assert response.status_code == 200
    assert "2026-11-30 07:05 UTC" in page
    assert 'value="Other"' in page
    assert "errornote" not in page
    assert (reread(task).name, next_times(task, 1), Event.objects.count()) == ("Tokens", ["11-28 01:00"], 0)


def ran(job, minutes, number=3, **fields):
    for _ in range(number):
        factories.job_run(
            job=job,
            status="succeeded",
            concurrency_key=job,
            started_at=NOON - timedelta(minutes=minutes),
            finished_at=NOON,
            **fields,
        )
    caches["process"].clear()


def test_it_warns_of_runs_longer_than_the_interval(client, person):
    ran("cleanup_tokens", 14)
    fields = {"kind": "interval", "unit": "minutes", "task": "maintenance.cleanup_tokens"}

    assert "Runs usually take 14 m 00 s, longer than its interval of 10 m 00 s." in shown(
        client, every="10", **fields
    )
    assert "usually" not in shown(client, every="15", **fields)


def test_it_warns_of_long_runs_of_other_jobs_at_the_same_time(client, person):
    ran("cleanup_tokens", 5)
    ran("purge_old_content", 30)
    ran("cleanup_sessions", 0.5)
    factories.schedule(name="Purge & more", task="maintenance.purge_old_content", crontab="50 3 * * *")
    factories.schedule(name="Short", task="maintenance.cleanup_sessions", crontab="5 4 * * *")
    fields = {"day_of_week": "*", "task": "maintenance.cleanup_tokens"}

    page = shown(client, **fields)

    meets = (
        "“Purge & more”, which usually takes 30 m 00 s, runs at the same time, first at 2026-11-28 04:05 UTC."
    )
    assert escape(meets) in page
    assert "Short" not in page
    assert "usually" not in shown(client, **{**fields, "hour": "5"})


def test_of_many_schedules_those_whose_last_run_was_long_are_compared(client, person, monkeypatch):
    monkeypatch.setattr(neighbours, "OTHERS_MAX", 1)
    PeriodicTask.objects.update(enabled=False)
    ran("cleanup_tokens", 5)
    ran("purge_old_content", 30)
    ran("cleanup_sessions", 0.5)
    fields = {"day_of_week": "*", "task": "maintenance.cleanup_tokens"}
    for number in range(3):
        short = factories.schedule(
            name=f"Short {number}", task="maintenance.cleanup_sessions", crontab="5 4 * * *"
        )
        ran("cleanup_sessions", 0.5, 1, schedule=short, scheduled_for=NOON, trigger="schedule")
    purges = [
        factories.schedule(name=name, task="maintenance.purge_old_content", crontab="50 3 * * *")
        for name in ("Purge", "Never yet")
    ]
    ran("purge_old_content", 30, 1, schedule=purges[0], scheduled_for=NOON, trigger="schedule")

    page = shown(client, **fields)
    assert "“Purge”, which usually takes 30 m 00 s, runs at the same time" in page
    assert "There are more schedules with long runs" in page

    purges[1].delete()
    assert "There are more schedules with long runs" not in shown(client, **fields)
