"""The list of runs: filters by days, duration and person, and its export for spreadsheets."""

import csv
import io
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from maintenance.admin.run_filters import PersonFilter
from maintenance.ledger import run_csv
from tests.kit import factories
from tests.kit.steps import listed

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

LIST = "admin:maintenance_jobrun_changelist"
EXPORT = "admin:maintenance_jobrun_export"


def found(client, **query):
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return listed(response)


def exported(client, **query):
    response = client.get(reverse(EXPORT), query)
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode()
    return response, list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_runs_are_filtered_by_the_days_on_which_they_were_queued(client, operator):
    now = timezone.now()
    old, wanted, new = (factories.job_run(queued_at=now - timedelta(days=days)) for days in (9, 5, 1))
    days = {
        "queued_at__gte": f"{now - timedelta(days=7):%Y-%m-%d}",
        "queued_at__lt": f"{now - timedelta(days=3):%Y-%m-%d}",
    }

    assert found(client, **days) == [wanted]
    assert found(client, **{**days, "queued_at__lt": ""}) == [new, wanted]
    assert found(client, **{**days, "queued_at__gte": " "}) == [wanted, old]
    page = client.get(reverse(LIST), {"status__exact": "succeeded"}).content.decode()
    assert '<input type="date" class="vTextField" name="queued_at__gte">' in page
    assert '<input type="hidden" name="status__exact" value="succeeded">' in page


def test_runs_are_filtered_by_how_long_they_took_or_have_taken(client, operator):
    now = timezone.now()
    short = factories.job_run(started_at=now - timedelta(seconds=59), finished_at=now)
    long = factories.job_run(started_at=now - timedelta(minutes=11), finished_at=now)
    going = factories.job_run(status="running", started_at=now - timedelta(hours=2))
    factories.job_run(status="queued")
    factories.job_run(status="skipped")

    assert short in found(client)
    assert found(client, longer="60") == [going, long]
    assert found(client, longer="3600") == [going]
    assert client.get(reverse(LIST), {"longer": "5"}).status_code == 400


def test_runs_are_filtered_by_person_for_those_who_see_all_runs(client, operator):
    ada = factories.user(username="ada")
    hers = factories.job_run(requested_by=ada, requested_by_name="ada")
    factories.job_run(requested_by=operator, requested_by_name=operator.username)
    factories.user(username="idle")

    page = client.get(reverse(LIST)).content.decode()
    assert f"?by={ada.pk}" in page
    assert "idle" not in page
    assert found(client, by=ada.pk) == [hers]
    for value in ("0", "x", "9" * 30):
        assert client.get(reverse(LIST), {"by": value}).status_code == 400

    owner = factories.user()
    factories.bot_config(owner=owner)
    client.force_login(owner)
    assert found(client, by=ada.pk) == []


def test_people_beyond_those_in_the_menu_can_be_chosen_by_address(client, operator, monkeypatch):
    people = [factories.user(username=name) for name in ("ada", "bob", "cem")]
    runs = [factories.job_run(requested_by=person) for person in people]
    assert "There are more" not in client.get(reverse(LIST)).content.decode()
    monkeypatch.setattr(PersonFilter, "shown_max", 2)

    page = client.get(reverse(LIST)).content.decode()
    assert "There are more: these are the first 2 by name." in page
    assert f"?by={people[2].pk}" not in page
    assert found(client, by=people[2].pk) == [runs[2]]
    assert "cem" in client.get(reverse(LIST), {"by": people[2].pk}).content.decode()
    assert client.get(reverse(LIST), {"by": factories.user().pk}).status_code == 400


def test_the_export_holds_what_the_list_shows_and_no_formula(client, operator, monkeypatch):
    monkeypatch.setattr(run_csv, "CHUNK_ROWS", 2)
    failed = [
        factories.job_run(status="failed", error=f"=cmd|'{number}'", params={"n": 1}) for number in range(5)
    ]
    factories.job_run(error="token=abcdef123456")

    response, rows = exported(client, status__exact="failed")

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert [row["id"] for row in rows] == [str(run.pk) for run in failed[::-1]]
    assert [row["error"] for row in rows] == [f"'=cmd|'{number}'" for number in range(4, -1, -1)]
    assert rows[0]["params"] == '{"n": 1}'
    assert [
        event.verb
        for event in Event.objects.filter(actor=operator, verb__startswith="export.").order_by("pk")
    ] == [
        "export.started",
        "export.ended",
    ]
    assert "abcdef123456" not in str(exported(client)[1])


def test_the_export_holds_only_what_the_person_may_see(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner)
    mine = factories.job_run(job="scrape_now", params={"config": bot.pk})
    factories.job_run(job="scrape_now", params={"config": factories.bot_config().pk})
    client.force_login(owner)
    assert [row["id"] for row in exported(client)[1]] == [str(mine.pk)]

    client.force_login(factories.user())
    assert client.get(reverse(EXPORT)).status_code == 403


def test_a_row_names_its_bot_and_says_what_came_of_it(client):
    bot, elsewhere = factories.bot_config(name="Gardens"), factories.bot_config(name="Of nobody here")
    factories.job_run(job="scrape_now", params={"config": bot.pk})
    factories.job_run(status="partial", message="1 of 2 bots scraped")
    factories.job_run(status="missed", reason="no_scheduler")
    factories.job_run(status="failed", error="boom", message="not this")
    client.force_login(factories.superuser())

    page = client.get(reverse(LIST)).content.decode()

    for text in ("Gardens", "1 of 2 bots scraped", "No scheduler ticked", "boom"):
        assert text in page
    assert "not this" not in page
    assert elsewhere.name not in page


def test_a_page_names_what_was_asked_for_and_the_schedule_that_asked(client):
    bot = factories.bot_config(name="Gardens")
    first = factories.schedule(task="maintenance.scrape_now", name="Another bot, every hour")
    own = factories.schedule(task="maintenance.scrape_now", name="Gardens, every hour")
    run = factories.job_run(
        job="scrape_now",
        schedule=own,
        schedule_name=own.name,
        params={"config": bot.pk, "subreddits": ["python"], "days": 1234, "other": "x"},
    )
    by_hand = factories.job_run(job="scrape_now", params={"config": bot.pk})
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    told = " ".join(page.split())

    assert f'<a href="{reverse("admin:scraping_botconfig_change", args=[bot.pk])}">Gardens</a>' in told
    for text in ("1,234 days", "r/python", "other", "<title>Gardens | Scrape now"):
        assert text in told
    of = {
        task: reverse("admin:django_celery_beat_periodictask_change", args=[task.pk]) for task in (first, own)
    }
    assert f'<a href="{of[own]}">Gardens, every hour</a>' in told
    assert of[first] not in page
    other = client.get(reverse("admin:maintenance_jobrun_change", args=[by_hand.pk])).content.decode()
    assert of[first] not in other
