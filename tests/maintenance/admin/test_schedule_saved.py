"""What a page says after a schedule was saved: when it starts its job next, or why it does not."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from maintenance.scheduling import edits, maintenance_mode, schedules
from tests.kit import factories
from tests.maintenance.admin.steps import CHANGE, FORM

pytestmark = pytest.mark.django_db


def stored(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def test_a_saved_schedule_says_when_it_runs_next(client, operator):
    task = factories.schedule(name="Purge", task="maintenance.purge_old_content")

    page = client.post(reverse(CHANGE, args=[task.pk]), FORM, follow=True)

    said = [str(one) for one in page.context["messages"]]
    next_run = r"Next: \w+ \d\d-\d\d 04:05 Europe/Berlin \(\w+ \d\d-\d\d 1[01]:05 Asia/Shanghai\)"
    assert any(re.fullmatch(next_run, text) for text in said), said
    assert any(">Purge</a>”" in text for text in said), said
    edits.pause(stored(task), by=None, reason="freeze")
    again = client.post(reverse(CHANGE, args=[task.pk]), {**FORM, "description": "x"}, follow=True)
    assert any(str(one).startswith("It is paused (freeze): ") for one in again.context["messages"])
    assert "<title>Purge |" in client.get(reverse(CHANGE, args=[task.pk])).content.decode()


@pytest.mark.parametrize(
    ("pause_days", "is_maintenance", "words"),
    [
        (None, True, "It is paused (freeze): "),  # nobody ends it but a person
        (
            2,
            True,
            "It does not start its job for now",
        ),  # the pause ends by itself, and then something else holds it
        (2, False, "Next: "),
        (0, True, "It does not start its job for now"),
        (0, False, "Next: "),
    ],
)
def test_a_saved_schedule_says_first_what_somebody_must_end(
    client, operator, pause_days, is_maintenance, words
):
    task = factories.schedule(name="Purge", task="maintenance.purge_old_content")
    if pause_days != 0:
        until = timezone.now() + timedelta(days=pause_days) if pause_days else None
        edits.pause(task, by=None, reason="freeze", until=until)
    if is_maintenance:
        maintenance_mode.start(by=None, reason="move")

    page = client.post(reverse(CHANGE, args=[task.pk]), FORM, follow=True)

    assert str(next(iter(page.context["messages"]))).startswith(words)


def test_a_saved_schedule_without_fire_times_says_so_even_if_it_is_paused(client, operator):
    task = factories.schedule(name="Purge", task="maintenance.purge_old_content", crontab="5 4 * * mon-fri")
    PeriodicTask.objects.filter(pk=task.pk).update(expires=datetime(2020, 1, 1, tzinfo=UTC))
    CrontabSchedule.objects.filter(pk=task.crontab_id).update(timezone="Europe/Berlin")
    edits.pause(stored(task), by=None, reason="freeze")

    page = client.post(reverse(CHANGE, args=[task.pk]), {**FORM, "ends_at": "2020-01-01T01:00"}, follow=True)

    assert str(next(iter(page.context["messages"]))).startswith("It does not start its job: it has no more")
