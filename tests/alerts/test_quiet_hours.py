"""At night nobody is told what can wait; what is critical passes."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as some

from alerts import quiet
from alerts.models import Delivery, QuietHours
from audit.models import Event
from tests.alerts.conftest import Condition
from tests.kit import factories

pytestmark = pytest.mark.django_db
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NIGHT: dict[str, Any] = {"begins": time(22), "ends": time(7), "zone": "Europe/Berlin"}


def hours(**fields):
    return QuietHours(**NIGHT | fields)


def berlin(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-06-01T21:59:59", None),
        ("2026-06-01T22:00:00", "2026-06-02T07:00:00"),
        ("2026-06-02T03:00:00", "2026-06-02T07:00:00"),
        ("2026-06-02T06:59:59", "2026-06-02T07:00:00"),
        ("2026-06-02T07:00:00", None),
        ("2026-03-28T23:00:00", "2026-03-29T07:00:00"),  # the clocks go forward
        ("2026-10-24T23:00:00", "2026-10-25T07:00:00"),  # the clocks go back
    ],
)
def test_a_night_ends_in_the_morning_of_its_zone(moment, end):
    assert hours().end_after(berlin(moment)) == (end and berlin(end))


def test_hours_of_one_day_and_unknown_zones():
    noon = {"begins": time(12), "ends": time(13)}
    assert hours(**noon).end_after(berlin("2026-06-01T12:30:00")) == berlin("2026-06-01T13:00:00")
    assert hours(**noon).end_after(berlin("2026-06-01T11:59:00")) is None
    assert hours(zone="Mars/Base").end_after(berlin("2026-06-01T23:00:00")) is None


@given(
    begins=some.times(),
    ends=some.times(),
    zone=some.sampled_from(
        ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
    ),
    moment=some.integers(0, 366 * 24 * 60).map(lambda minute: NEW_YEAR + timedelta(minutes=minute)),
)
def test_an_end_is_ahead_within_a_day_and_is_no_quiet_moment_of_its_own(begins, ends, zone, moment):
    one = hours(begins=begins.replace(tzinfo=None), ends=ends.replace(tzinfo=None), zone=zone)
    end = one.end_after(moment)

    if end is not None:
        assert moment < end <= moment + timedelta(hours=25)
        assert end.astimezone(ZoneInfo(zone)).utcoffset() is not None


@pytest.mark.slow
def test_what_can_wait_is_mailed_in_the_morning_and_what_is_critical_at_night(hand, later, mails):
    person = factories.superuser(email="p@example.org")
    factories.route(to="person", person=person)
    quiet.set_quiet_hours(**NIGHT, by=person)
    hand.now = berlin("2026-06-01T23:00:00").astimezone(UTC)
    warning = Condition(hand, "1", code="late", severity="warning")
    critical = Condition(hand, "2")
    warning.look()
    critical.look()
    later(hours=7)
    to_person = [mail["Subject"] for mail in mails.mails if mail["To"] == "p@example.org"]
    assert to_person == ["[critical] failed: name 2"]

    later(hours=1, minutes=2)
    to_person = [mail["Subject"] for mail in mails.mails if mail["To"] == "p@example.org"]
    assert to_person[1:] == ["[warning] late: name 1"]


def test_groups_addresses_and_others_are_not_quiet(hand, mails, settings):
    settings.ALERT_EMAILS = ["ops@example.org"]
    factories.route()
    factories.route(to="person", person=factories.superuser(email="q@example.org"))
    quiet.set_quiet_hours(**NIGHT, by=factories.superuser(email="p@example.org"))
    hand.now = berlin("2026-06-01T23:00:00").astimezone(UTC)
    Condition(hand, "1", code="late", severity="warning").look()

    waits = Delivery.objects.values_list("recipient", "next_attempt_at")
    assert {name: at - hand.now for name, at in waits} == dict.fromkeys(
        ("ops@example.org", "q@example.org"), timedelta(minutes=1)
    )


def test_the_page_stores_ones_own_and_ends_them(client):
    person = factories.user(is_staff=True)
    client.force_login(person)
    assert client.get(reverse("admin:my_messages")).status_code == 200
    page = reverse("admin:my_messages_quiet_hours")

    client.post(page, {"begins": "22:00", "ends": "07:00", "zone": "Europe/Berlin"})
    kept = QuietHours.objects.get()
    assert (kept.person, kept.begins, kept.ends) == (person, time(22), time(7))
    for wrong in ({"begins": "1:00", "ends": "1:00"}, {"begins": "x"}, {"zone": "Mars/Base"}):
        answer = client.post(page, {"begins": "22:00", "ends": "07:00", "zone": "UTC", **wrong})
        assert answer.context["hours_form"].errors
    assert QuietHours.objects.get().zone == "Europe/Berlin"

    client.post(reverse("admin:my_messages_quiet_hours_end"))
    assert not QuietHours.objects.exists()
    verbs = Event.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["person.quiet_hours_set", "person.quiet_hours_ended"]


def test_the_address_that_the_page_had_before_leads_to_it(client):
    client.force_login(factories.user(is_staff=True))

    answer = client.get("/admin/quiet-hours/")

    assert (answer.status_code, answer.url) == (301, reverse("admin:my_messages"))


def test_a_condition_that_comes_and_goes_is_told_a_few_times_and_once_that_it_does(condition, later, mails):
    factories.route()
    for _ in range(10):
        condition.ids = ["1"]
        condition.look()
        later(minutes=1)
        condition.ids = []
        condition.look()
        later(minutes=1)
    later(hours=2)
    condition.look()
    later(minutes=30)

    subjects = [mail["Subject"] for mail in mails.mails]
    assert len(subjects) <= 5
    flapping = [
        mail
        for mail in mails.mails
        if "comes and goes" in mail.get_content() and "Over" not in mail["Subject"]
    ]
    assert len(flapping) == 1
    assert "Over" in subjects[-1]
