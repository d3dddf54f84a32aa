"""Schedules in the admin: pausing, resuming, and resetting to the default."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.models import ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, schedules
from maintenance.scheduling.firetimes import Crontab
from tests.maintenance.admin.steps import CHANGE, LIST

pytestmark = pytest.mark.django_db


def test_resuming_what_is_not_paused_changes_nothing_and_says_so(client, operator, purge):
    answer = client.post(reverse("admin:maintenance_schedule_resume", args=[purge.pk]), follow=True)

    assert "Purge old content is active already." in answer.content.decode()
    assert not Event.objects.exists()


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


def test_the_page_that_pauses_asks_for_a_reason(client, operator, purge):
    target = reverse("admin:maintenance_schedule_pause", args=[purge.pk])
    until = timezone.localtime(timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)

    # The switch in a list posts no reason, so nothing happens yet.
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


@pytest.mark.slow
def test_reset_is_offered_where_the_schedule_differs_and_puts_the_default_back(client, operator, purge):
    target = reverse("admin:maintenance_schedule_reset", args=[purge.pk])
    assert target not in client.get(reverse(CHANGE, args=[purge.pk])).content.decode()
    edits.retime(purge, by=operator, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")
    assert target in client.get(reverse(CHANGE, args=[purge.pk])).content.decode()

    client.post(target)

    assert schedules.deviation(PeriodicTask.objects.get(pk=purge.pk)) is None


@pytest.mark.slow
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
