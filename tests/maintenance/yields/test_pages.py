"""What is usual, on the pages of a run and a schedule, and in the explanation of a schedule."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.events import record
from maintenance.explanations import explain_schedule
from maintenance.models import RetentionPolicy, RowsVerdict
from maintenance.retention import CHANGED
from maintenance.yields.causes import likely_cause
from maintenance.yields.learning import hour_of_week
from tests.kit import factories, yields

pytestmark = pytest.mark.django_db
SLOT = datetime(2026, 1, 5, 2, 30, tzinfo=UTC)
NOTHING, MORE = RowsVerdict.Kind.NOTHING, RowsVerdict.Kind.MORE


def page_of(client, run):
    return client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()


def run_of(task, rows, **fields):
    values = {"trigger": "schedule", "schedule": task, "scheduled_for": SLOT, **fields}
    return factories.job_run(counts={"accounts.ApiToken": rows}, **values)


def test_the_page_of_a_run_shows_what_is_usual_beside_its_rows(client, operator):
    task = yields.usual_rows(hour_of_week=hour_of_week(SLOT)).schedule
    page = page_of(client, run_of(task, 0))

    assert "Rows: 0, usually " in page
    assert ">Unusual<" in page

    usual = page_of(client, run_of(factories.schedule(), 0))
    assert "usually" not in usual


def test_a_run_as_usual_is_not_marked_and_one_without_a_slot_not_compared(client, operator):
    task = yields.usual_rows(hour_of_week=hour_of_week(SLOT)).schedule

    assert "Rows: 10,200, usually" in (page := page_of(client, run_of(task, 10_200)))
    assert ">Unusual<" not in page
    assert "usually" not in page_of(client, run_of(task, 0, trigger="admin", scheduled_for=None))


def test_the_page_of_a_schedule_shows_what_is_usual_and_what_is_unusual(client, superuser):
    task = factories.schedule(crontab="30 2 * * 1")
    yields.usual_rows(schedule=task, hour_of_week=hour_of_week(SLOT))
    yields.rows_verdict(schedule=task, cause="Look at it.")

    page = client.get(
        reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    ).content.decode()

    assert "Rows of the next run: usually " in page
    assert "usually 7,900 to 12,100" in page
    assert "Look at it." in page
    (told,) = [cause for cause in explain_schedule(task) if cause.code == "unusual_rows"]
    assert told.text.startswith("0 rows in the run of ")


def test_the_likely_cause_is_the_last_change_of_schedule_retention_or_bot():
    task = factories.schedule(task="maintenance.purge_old_content")
    assert "look at whether new rows still come in" in likely_cause(task.pk, NOTHING, timezone.now())
    assert "look at what has grown" in likely_cause(task.pk, MORE, timezone.now())

    policy = RetentionPolicy.objects.get(job="purge_old_content")
    lin = factories.user(username="lin")
    record(CHANGED, policy, by=lin, before={"days": 90}, after={"days": 900})
    record("row.changed", factories.bot_config(), by=lin, after={"nsfw": "only"})

    cause = likely_cause(task.pk, NOTHING, timezone.now())
    assert cause.startswith("Likely cause: ")
    assert "“purge_old_content”, by lin at " in cause

    scraping = factories.schedule(task="maintenance.auto_scraping")
    assert "by lin at " in likely_cause(scraping.pk, NOTHING, timezone.now())
