"""The switch that pauses scraping: no scrape starts, not even a manual one; everything else continues."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from maintenance.ledger import requests
from maintenance.models import JobRun, MaintenanceMode, ScheduleControl
from maintenance.registry import JobsPaused, jobs
from maintenance.scheduling import maintenance_mode
from maintenance.scheduling.forecast import Hold
from maintenance.scheduling.reading import read
from maintenance.scheduling.scheduler_health import scheduler_health
from tests.kit import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("only_what_a_test_schedules")]
NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)
SCRAPING = "scraping"
PAGE = "admin:maintenance_pause_scraping"


@pytest.fixture
def scrapes():
    return factories.schedule(task="maintenance.auto_scraping", crontab="* * * * *")


@pytest.fixture
def cleans():
    return factories.schedule(task="maintenance.cleanup_tokens", crontab="* * * * *")


def statuses(task):
    return [run.status for run in JobRun.objects.filter(schedule=task).order_by("scheduled_for")]


def pause(**options):
    maintenance_mode.start(by=None, reason="Reddit is on strike", scope=SCRAPING, **options)


def test_every_job_that_scrapes_is_in_the_group_and_no_other():
    assert {job.slug for job in jobs() if job.group == SCRAPING} == {"auto_scraping", "scrape_now"}


@pytest.mark.slow
def test_scrapes_wait_while_everything_else_goes_on(clock, scheduler, scrapes, cleans):
    pause()
    clock.shift(61)
    scheduler.tick()
    assert (statuses(scrapes), statuses(cleans)) == ([], ["queued"])

    clock.shift(600)
    maintenance_mode.end(by=None, scope=SCRAPING)
    scheduler.tick()
    summary = JobRun.objects.get(schedule=scrapes)
    assert (summary.status, summary.reason, summary.counts) == ("skipped", "paused", {"slots_skipped": 11})
    assert "Reddit is on strike" in summary.message

    clock.shift(60)
    scheduler.tick()
    assert statuses(scrapes) == ["skipped", "queued"]


def test_whoever_asks_for_a_scrape_is_told_why_not_and_a_purge_is_not_refused():
    pause(until=timezone.now() + timedelta(hours=1))

    with pytest.raises(JobsPaused, match=r"paused until .* Reddit is on strike"):
        requests.request_run(job="auto_scraping", trigger="admin")
    with pytest.raises(CommandError, match="Reddit is on strike") as refused:
        call_command("auto_scraping")
    assert refused.value.returncode == 4
    assert not JobRun.objects.exists()

    assert requests.request_run(job="purge_old_content", trigger="admin").status == "queued"
    assert requests.request_run(job="auto_scraping", trigger="admin", dry_run=True).status == "queued"


def test_a_queued_scrape_waits_for_the_end_and_is_not_lost():
    run = requests.request_run(job="auto_scraping", trigger="admin")
    pause()
    assert not JobRun.objects.may_start().exists()
    assert not run.claim(worker="w")

    maintenance_mode.end(by=None, scope=SCRAPING)
    assert run.claim(worker="w")


@pytest.mark.slow
def test_it_ends_by_itself_at_its_time(clock, scheduler, scrapes):
    pause(until=NOON + timedelta(minutes=5, seconds=30))
    clock.shift(601)
    assert maintenance_mode.end_when_due(NOON + timedelta(seconds=601))
    assert not maintenance_mode.is_on(SCRAPING)

    scheduler.tick()
    assert statuses(scrapes) == ["skipped", "missed", "queued"]
    skipped = JobRun.objects.get(schedule=scrapes, status="skipped")
    assert skipped.counts == {"slots_skipped": 5}


@pytest.mark.slow
def test_next_times_are_behind_the_pause_and_nothing_counts_as_overdue(clock, scrapes, cleans):
    pause(until=NOON + timedelta(minutes=30))
    clock.shift(300)
    reading = read(PeriodicTask.objects.get(pk=scrapes.pk))
    assert (reading.hold, reading.next_run_at) == (Hold.GROUP, NOON + timedelta(minutes=30))
    assert read(PeriodicTask.objects.get(pk=cleans.pk)).hold == Hold.NONE

    ScheduleControl.objects.filter(pk=scrapes.pk).update(next_slot_at=NOON)
    assert scheduler_health().overdue == 1  # the other one
    ScheduleControl.objects.filter(pk=cleans.pk).update(next_slot_at=None)
    assert scheduler_health().overdue == 0


def test_of_two_switches_the_one_that_ends_last_decides(clock, scrapes):
    pause(until=NOON + timedelta(minutes=30))
    maintenance_mode.start(by=None, reason="new disk", until=NOON + timedelta(minutes=10))
    assert read(PeriodicTask.objects.get(pk=scrapes.pk)).hold == Hold.GROUP

    maintenance_mode.start(by=None, reason="new disk", until=NOON + timedelta(minutes=50))
    assert read(PeriodicTask.objects.get(pk=scrapes.pk)).hold == Hold.MAINTENANCE


@pytest.mark.slow
def test_the_page_pauses_and_resumes_and_every_page_says_so(client):
    client.force_login(factories.user("maintenance.change_maintenancemode", "maintenance.view_jobrun"))

    client.post(reverse(PAGE), {"reason": "Reddit is on strike", "until": ""})
    assert maintenance_mode.is_on(SCRAPING)
    assert not maintenance_mode.is_on()
    page = client.get(reverse("admin:index")).content.decode()
    assert "Scraping is paused: no scrape starts." in page
    assert "nothing scheduled starts" not in page

    client.post(reverse(PAGE), {"end": "1"})
    assert not maintenance_mode.is_on(SCRAPING)
    assert MaintenanceMode.objects.get().scope == SCRAPING


def test_the_page_that_would_start_a_scrape_says_why_it_does_not(client):
    client.force_login(factories.user(is_superuser=True))
    pause()

    answer = client.get(reverse("admin:maintenance_job_run", args=["auto_scraping"]))

    assert answer.status_code == 400
    assert "Reddit is on strike" in answer.content.decode()


def test_the_page_is_for_who_may_switch(client):
    client.force_login(factories.user("django_celery_beat.change_periodictask"))

    assert client.get(reverse(PAGE)).status_code == 403
    assert client.post(reverse(PAGE), {"reason": "x"}).status_code == 403
    assert not maintenance_mode.is_on(SCRAPING)
