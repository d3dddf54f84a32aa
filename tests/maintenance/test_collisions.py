"""Two schedules of one job in the same minute: a message says so when one is saved."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.urls import reverse

from tests.kit import factories

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def saved(client, task, **fields):
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    form = client.get(address).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
    answer = client.post(address, {**values, **fields}, follow=True)
    return [str(message) for message in answer.context["messages"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "crontab", "said"),
    [
        ('{"days": 60}', "30 2 * * 0", "one waits for the other"),
        ("{}", "30 2 * * 0", "one of the two is skipped then"),
        ('{"days": 60}', "30 2 * * 1", None),
    ],
)
def test_another_schedule_in_the_same_minute_is_told_when_it_is_saved(clock, client, kwargs, crontab, said):
    factories.schedule(task="maintenance.purge_old_content", crontab="30 2 * * 0", name="Weekly")
    task = factories.schedule(task="maintenance.purge_old_content", crontab="0 5 * * *", kwargs=kwargs)
    client.force_login(factories.operator())
    fields = dict(
        zip(("minute", "hour", "day_of_month", "month_of_year", "day_of_week"), crontab.split(), strict=True)
    )

    told = [text for text in saved(client, task, **fields) if "Weekly" in text]

    assert bool(told) == bool(said)
    if said:
        assert said in told[0]
        assert "2026-11-29 02:30 UTC" in told[0]
