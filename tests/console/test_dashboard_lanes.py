"""The content of the dashboard's timeline, and what it and the Jobs table leave out."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from console.dashboard import job_rows, lanes
from maintenance.scheduling.job_schedules import SCHEDULES_OF_A_JOB
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]

INDEX = reverse("admin:index")


@pytest.mark.slow
def test_the_timeline_of_a_running_run_does_not_change_each_second(client, superuser):
    began = timezone.now() - timedelta(minutes=3)
    factories.job_run(job="purge_old_content", status="running", started_at=began)

    page = client.get(INDEX).content.decode()

    assert re.search(r"<title>#\d+ · Running · \d\d:\d\d</title>", page)


@pytest.mark.slow
def test_the_timeline_counts_runs_and_no_slots_under_the_schedule_that_started_them(client, superuser):
    first = factories.schedule(task="maintenance.scrape_now", name="First")
    second = factories.schedule(task="maintenance.scrape_now", name="Second")
    for status in ("succeeded", "skipped", "missed"):
        factories.job_run(job="scrape_now", status=status, schedule=first)
    factories.job_run(job="scrape_now", schedule=second)
    factories.job_run(job="scrape_now", trigger="admin")

    page = client.get(INDEX).content.decode()

    assert re.findall(r"(First|Second): (\d+ runs?)", page) == [("First", "1 run"), ("Second", "1 run")]


@pytest.mark.slow
def test_a_busy_schedule_hides_no_run_of_a_row_and_the_timeline_says_what_it_leaves_out(
    client, superuser, monkeypatch
):
    monkeypatch.setattr(lanes, "RUNS_MAX", 2)
    now = timezone.now()
    rare = factories.schedule(task="maintenance.scrape_now", name="Rare")
    factories.job_run(job="scrape_now", schedule=rare, queued_at=now - timedelta(hours=5))
    # The first schedules of a job have rows, and this one has none.
    for number in range(SCHEDULES_OF_A_JOB):
        factories.schedule(task="maintenance.scrape_now", name=f"Other {number}")
    busy = factories.schedule(task="maintenance.scrape_now", name="Without a row")
    for minutes in range(3):
        factories.job_run(job="scrape_now", schedule=busy, queued_at=now - timedelta(minutes=minutes))

    whole = client.get(INDEX).content.decode()
    for hours in (3, 4):
        factories.job_run(job="scrape_now", schedule=rare, queued_at=now - timedelta(hours=hours))
    cut = client.get(INDEX)

    assert "Rare: 1 run" in whole
    assert "are drawn and counted here" not in whole
    assert "Rare: 2 runs" in cut.content.decode()
    assert "Only the newest 2 runs are drawn and counted here: all those since" in cut.content.decode()
    assert cut.context["timeline"].drawn_since == now - timedelta(hours=4)
    assert 'class="unknown"' in cut.content.decode()


@pytest.mark.slow
def test_a_run_that_stands_still_is_drawn_although_it_began_long_ago(client, superuser):
    began = timezone.now() - timedelta(hours=9)
    run = factories.job_run(job="purge_old_content", status="running", queued_at=began, started_at=began)

    page = client.get(INDEX).content.decode()

    assert re.search(rf"<title>#{run.pk} · Running", page)


@pytest.mark.slow
def test_rows_that_are_left_out_are_counted(client, superuser, monkeypatch):
    for name in ("First", "Second", "Third"):
        factories.schedule(task="maintenance.scrape_now", name=name)

    whole = client.get(INDEX)
    number = len(whole.context["job_rows"])
    monkeypatch.setattr(lanes, "LANES_MAX", number - 2)
    fewer_lanes = client.get(INDEX).content.decode()
    monkeypatch.setattr(job_rows, "ROWS_MAX", number - 1)
    fewer_rows = client.get(INDEX).content.decode()

    assert not re.search("not drawn|no row here", whole.content.decode())
    assert "2 more rows of the table of jobs are not drawn." in fewer_lanes
    assert "1 more job or schedule has no row here." in fewer_rows
