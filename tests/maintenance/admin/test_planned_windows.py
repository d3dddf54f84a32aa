"""The page of maintenance windows: plan one with a preview, end one, delete one; only for who may switch."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from maintenance.admin import planned_windows as planned_window_pages
from maintenance.models import PlannedWindow, ScheduleControl
from maintenance.scheduling import maintenance_mode, planned_windows, window_preview
from maintenance.scheduling.planned_windows import Plan
from tests.kit import factories

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)
PAGE = "admin:planned_windows"
ONCE = {
    "scope": "",
    "kind": "once",
    "timezone": "UTC",
    "starts_at": "2026-12-24T00:00",
    "ends_at": "2026-12-28T00:00",
    "reason": "the building is closed",
}
WEEKLY = {
    "scope": "scraping",
    "kind": "weekly",
    "timezone": "Europe/Berlin",
    "weekdays": ["6"],
    "from_time": "23:00",
    "to_time": "01:00",
    "reason": "backup",
}


@pytest.fixture(autouse=True)
def at_noon():
    PeriodicTask.objects.all().delete()
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def page(client):
    client.force_login(factories.user("maintenance.change_maintenancemode", "maintenance.view_jobrun"))
    return client


def test_a_window_that_happens_once_is_planned(page):
    answer = page.post(reverse(PAGE), ONCE, follow=True)

    row = PlannedWindow.objects.get()
    assert (row.scope, row.reason, row.weekdays) == ("", "the building is closed", "")
    assert row.starts_at == datetime(2026, 12, 24, tzinfo=UTC)
    text = answer.content.decode()
    assert "It opens at 2026-12-24 00:00 UTC." in text
    assert "the building is closed" in text


def test_a_weekly_window_across_midnight_is_planned_and_listed(page):
    page.post(reverse(PAGE), WEEKLY)

    row = PlannedWindow.objects.get()
    assert (row.starts_at, row.ends_at) == (
        datetime(2026, 6, 7, 21, tzinfo=UTC),
        datetime(2026, 6, 7, 23, tzinfo=UTC),
    )
    text = page.get(reverse(PAGE)).content.decode()
    assert "Sunday 23:00–01:00" in text
    assert "2026-06-07 23:00 UTC+2" in text


def test_the_preview_shows_occurrences_and_what_will_not_run_and_plans_nothing(page):
    factories.schedule(crontab="*/30 * * * *", task="maintenance.auto_scraping", name="Scrapes")
    factories.schedule(crontab="*/30 * * * *", name="Cleans")
    by_htmx = page.get(reverse("admin:planned_window_preview"), {**WEEKLY, "reason": ""}).content.decode()
    by_button = page.post(reverse(PAGE), {**WEEKLY, "preview": "1"}).content.decode()

    for text in (by_htmx, by_button):
        assert "2026-06-07 23:00 UTC+2 – 2026-06-08 01:00 UTC+2" in text
        assert "2026-07-05 23:00 UTC+2" in text
        assert "Scrapes" in text
        assert "4 slots" in text
        assert "Cleans" not in text
    assert not PlannedWindow.objects.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"ends_at": "2026-12-23T00:00"}, "The end is not after the beginning."),
        ({"starts_at": ""}, "Say from when to when."),
        ({"reason": ""}, "This field is required."),
        ({"kind": "weekly"}, "Choose at least one day."),
        ({"timezone": "Mars/Base"}, "Select a valid choice."),
        ({"scope": "baking"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_planned_is_refused(page, typed, said):
    answer = page.post(reverse(PAGE), {**ONCE, **typed})

    assert said in answer.content.decode()
    assert not PlannedWindow.objects.exists()


def test_an_open_window_is_on_every_page_and_can_be_ended_and_deleted(page, at_noon):
    row = planned_windows.plan_window(
        Plan(NOON + timedelta(minutes=1), NOON + timedelta(hours=1)), by=None, reason="new disk"
    )
    at_noon.shift(120)
    text = page.get(reverse("admin:index")).content.decode()
    assert "Maintenance window: nothing scheduled starts." in text
    assert "new disk" in text

    page.post(reverse("admin:planned_window_end", args=[row.pk]))
    row.refresh_from_db()
    assert row.ended_at is not None
    other = planned_windows.plan_window(
        Plan(NOON + timedelta(hours=1), NOON + timedelta(hours=2)), by=None, reason="x"
    )
    page.post(reverse("admin:planned_window_delete", args=[other.pk]))
    assert not PlannedWindow.objects.planned().exists()
    assert page.get(reverse("admin:planned_window_delete", args=[other.pk])).status_code == 405


def told(answer):
    return [str(message) for message in answer.context["messages"]]


def test_the_end_of_a_window_is_told_only_if_it_was_open_and_with_what_still_holds(page, at_noon):
    maintenance_mode.start(by=None, reason="move")
    span = Plan(NOON + timedelta(minutes=1), NOON + timedelta(hours=1))
    address = reverse(
        "admin:planned_window_end", args=[planned_windows.plan_window(span, by=None, reason="x").pk]
    )

    early = page.post(address, follow=True)
    at_noon.shift(120)
    ended = page.post(address, follow=True)
    again = page.post(address, follow=True)
    off = page.post(reverse("admin:maintenance_mode"), {"end": "1"}, follow=True)

    assert told(early) == told(again) == ["The window is not open: there was nothing to end."]
    assert told(ended) == [
        "The window is ended: schedules start again.",
        "They do not start yet: another pause or window still holds them.",
    ]
    assert told(off) == ["Maintenance mode is off: schedules start again."]


def test_the_pages_are_for_who_may_switch(client):
    row = planned_windows.plan_window(
        Plan(NOON + timedelta(hours=1), NOON + timedelta(hours=2)), by=None, reason="x"
    )
    client.force_login(factories.user("django_celery_beat.change_periodictask"))

    for answer in (
        client.get(reverse(PAGE)),
        client.post(reverse(PAGE), ONCE),
        client.get(reverse("admin:planned_window_preview"), ONCE),
        client.post(reverse("admin:planned_window_end", args=[row.pk])),
        client.post(reverse("admin:planned_window_delete", args=[row.pk])),
    ):
        assert answer.status_code == 403
    assert PlannedWindow.objects.planned().count() == 1


def test_the_preview_of_a_schedule_strikes_through_what_will_not_run(page):
    task = factories.schedule(crontab="20 * * * *")
    planned_windows.plan_window(
        Plan(NOON + timedelta(hours=1), NOON + timedelta(hours=3)), by=None, reason="restore test"
    )
    page.force_login(factories.operator())
    fields = {"minute": "20", "hour": "*", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    query = {**fields, "timezone": "UTC", "schedule": task.pk}

    text = " ".join(page.get(reverse("admin:maintenance_schedule_preview"), query).content.decode().split())

    assert text.count("<s>") == 2
    assert '<s>2026-06-03 13:20 UTC</s> <span class="quiet-line">restore test</span>' in text
    assert "<s>2026-06-03 15:20 UTC</s>" not in text


def test_the_page_shows_when_a_window_opens_next_although_no_scheduler_lives(page, at_noon):
    page.post(reverse(PAGE), WEEKLY)
    planned_windows.plan_window(
        Plan(NOON + timedelta(hours=1), NOON + timedelta(hours=2)), by=None, reason="long ago"
    )
    page.get(reverse(PAGE))  # says once that it is planned
    at_noon.shift(timedelta(days=22))
    page.force_login(factories.user("maintenance.change_maintenancemode"))
    text = page.get(reverse(PAGE)).content.decode()

    assert "2026-06-28 23:00 UTC+2" in text
    assert "2026-06-07" not in text
    assert "long ago" not in text


def test_the_page_says_how_many_windows_it_does_not_list(page, monkeypatch):
    monkeypatch.setattr(planned_window_pages, "SHOWN_MAX", 2)
    for hours in (1, 2, 3):
        planned_windows.plan_window(
            Plan(NOON + timedelta(hours=hours), NOON + timedelta(hours=4)), by=None, reason=f"move {hours}"
        )
    text = page.get(reverse(PAGE)).content.decode()

    assert "and 1 window more, later" in text
    assert "move 2" in text
    assert "move 3" not in text


def test_the_preview_says_how_many_schedules_it_has_not_looked_at(page, monkeypatch):
    monkeypatch.setattr(window_preview, "SCHEDULES_MAX", 2)
    for number in range(5):
        factories.schedule(crontab="*/30 * * * *", name=f"Cleans {number}")
    text = page.post(reverse(PAGE), {**ONCE, "preview": "1"}).content.decode()

    assert "3 schedules more were not looked at" in " ".join(text.split())


NIGHT = {**ONCE, "starts_at": "2026-06-04T00:00", "ends_at": "2026-06-04T04:00", "preview": "1"}


def held_line(page, **control):
    """What the preview of tomorrow's window says of a schedule of every hour with these settings."""
    PeriodicTask.objects.all().delete()
    task = factories.schedule(crontab="0 * * * *", name="Cleans", enabled="paused_at" not in control)
    ScheduleControl.objects.filter(schedule=task).update(**control)
    text = " ".join(page.post(reverse(PAGE), NIGHT).content.decode().split())
    return text.partition("What will not run the first time")[2].partition("</ul>")[0]


def test_the_preview_has_schedules_whose_pause_ends_before_or_in_the_window(page):
    paused = {"paused_at": NOON, "pause_reason": "disk"}
    assert "<s>2026-06-04 00:00 UTC</s> Cleans · 4 slots" in held_line(
        page, **paused, paused_until=NOON + timedelta(hours=1)
    )
    assert "<s>2026-06-04 02:00 UTC</s> Cleans · 2 slots" in held_line(
        page, **paused, paused_until=NOON + timedelta(hours=14)
    )
    assert "Cleans" not in held_line(page, **paused, paused_until=NOON + timedelta(hours=16))
    assert "Cleans" not in held_line(page, **paused)


def test_the_preview_tells_a_run_after_the_window_only_as_the_forecast_does(page):
    row = {"catch_up_after_pause": True}
    assert "runs afterwards, at 2026-06-04 04:00 UTC" in held_line(page, **row)
    assert "runs afterwards" not in held_line(page, **row, misfire_policy="skip")
    planned_windows.plan_window(
        Plan(NOON + timedelta(hours=15), NOON + timedelta(hours=18)), by=None, reason="another"
    )
    assert "runs afterwards, at 2026-06-04 06:00 UTC" in held_line(page, **row)
    maintenance_mode.start(by=None, reason="no end")
    assert "Cleans" in held_line(page, **row)
    assert "runs afterwards" not in held_line(page, **row)


def test_the_preview_knows_what_is_too_old_to_be_caught_up(page):
    task = factories.schedule(crontab="30 0 * * *", name="Cleans")
    ScheduleControl.objects.filter(schedule=task).update(catch_up_after_pause=True, catch_up_hours=3)

    assert "runs afterwards" not in page.post(reverse(PAGE), NIGHT).content.decode()
    ScheduleControl.objects.filter(schedule=task).update(catch_up_hours=4)
    assert "runs afterwards" in page.post(reverse(PAGE), NIGHT).content.decode()
