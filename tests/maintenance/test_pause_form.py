"""The end of a pause and of maintenance mode: its time zone, and the quick choices."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.urls import reverse

from maintenance.admin.pause_form import PauseForm, quick_ends
from maintenance.models import MaintenanceMode, ScheduleControl
from tests.kit import factories

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)  # a Friday
HOUR = timedelta(hours=1)


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def test_the_end_of_a_pause_is_written_in_the_zone_of_the_schedule(clock, client):
    task = factories.schedule(crontab="0 * * * *", timezone_name="America/New_York")
    client.force_login(factories.operator())
    address = reverse("admin:maintenance_schedule_pause", args=[task.pk])

    assert "Time zone: America/New_York" in client.get(address).content.decode()
    client.post(address, {"reason": "x", "until": "2026-11-27T18:00"})

    assert ScheduleControl.objects.get(pk=task.pk).paused_until == NOON.replace(hour=23)
    assert 'value="2026-11-27T18:00"' in client.get(address).content.decode()


def test_the_end_of_maintenance_mode_is_written_in_the_zone_of_the_reader(clock, client, settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:maintenance_mode")).content.decode()
    assert "Time zone: Asia/Shanghai. Empty: until somebody ends it." in page
    client.post(reverse("admin:maintenance_mode"), {"reason": "x", "until": "2026-11-27T21:00"})

    assert MaintenanceMode.objects.get().until == NOON + HOUR


@pytest.mark.parametrize(
    ("now", "monday"),
    [
        ("2026-11-27 12:00", "2026-11-30 09:00"),
        ("2026-11-30 08:59", "2026-11-30 09:00"),
        ("2026-11-30 09:00", "2026-12-07 09:00"),
        ("2026-10-24 12:00", "2026-10-26 09:00"),  # clocks go back in between
    ],
)
def test_quick_choices_are_of_the_zone(now, monday):
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime.fromisoformat(now).replace(tzinfo=berlin)

    ends = {name: end for name, _label, end in quick_ends(now)}

    assert ends["monday"] == datetime.fromisoformat(monday).replace(tzinfo=berlin)
    assert ends["2h"].astimezone(UTC) - now.astimezone(UTC) == 2 * HOUR


def test_a_quick_choice_counts_instead_of_the_time(clock, client):
    task = factories.schedule(crontab="0 * * * *")
    client.force_login(factories.operator())
    address = reverse("admin:maintenance_schedule_pause", args=[task.pk])

    client.post(address, {"reason": "x", "ends": "2h", "until": "2001-01-01T00:00"})
    assert ScheduleControl.objects.get(pk=task.pk).paused_until == NOON + 2 * HOUR

    wrong = PauseForm({"reason": "x", "ends": "for ever"})
    assert list(wrong.errors) == ["ends"]
