"""Worker and beat as real processes: a schedule fires, an edit is seen, kills lose nothing."""

import itertools
import signal
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.ledger import requests
from maintenance.models import JobRun
from maintenance.scheduling import edits, schedules, seeding
from maintenance.scheduling.firetimes import Crontab
from scraping.models import RedditPost
from tests.chaos.services import beat, worker
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


@pytest.fixture(autouse=True)
def only_what_a_test_schedules(db):
    seeding.seed()
    for task in PeriodicTask.objects.all():
        edits.pause(task, by=None, reason="not in this test")


def old_posts(number):
    made = timezone.now() - timedelta(days=100)
    RedditPost.objects.bulk_create(factories.unsaved_post(created_at=made) for _ in range(number))


# All rows of the table but one are deleted, slowly enough to be interrupted.
LONG_PURGE = {"PURGE_CAP_SHARE": "1", "PURGE_THROTTLE": "0.1"}


def final(run):
    run.refresh_from_db()
    return run.is_final


def test_a_purge_retimed_to_the_next_minute_runs_then_once_and_a_paused_one_does_not():
    old_posts(3)
    survivor = factories.post(created_at=timezone.now())
    purge = schedules.for_job("purge_old_content")
    with worker() as _, beat() as scheduler:
        assert "purge_old_content: paused (not in this test)" in scheduler.output
        edits.resume(purge, by=None)
        slot = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
        if slot - timezone.now() < timedelta(seconds=8):  # an edit may take 5 s to be seen
            slot += timedelta(minutes=1)
        edits.retime(
            purge, by=None, crontab=Crontab.parse(f"{slot.minute} {slot.hour} * * *"), timezone_name="UTC"
        )
        wait_until(lambda: JobRun.objects.filter(status="succeeded").exists(), timeout=150)
        edits.pause(PeriodicTask.objects.get(pk=purge.pk), by=None, reason="enough")
        tokens = schedules.for_job("cleanup_tokens")
        edits.resume(tokens, by=None)
        every_second = IntervalSchedule.objects.create(every=1, period="seconds")
        tokens.crontab, tokens.interval = None, every_second
        tokens.save()
        wait_until(
            lambda: JobRun.objects.filter(job="cleanup_tokens", status="succeeded").count() >= 3, timeout=30
        )

    run = JobRun.objects.exclude(reason="paused").get(job="purge_old_content")
    assert (run.trigger, run.scheduled_for) == ("schedule", slot)
    assert run.counts == {"scraping.RedditPost": 3, "scraping.RedditComment": 0}
    assert run.started_at - slot < timedelta(seconds=5)
    assert run.duration.total_seconds() > 0
    assert list(RedditPost.objects.all()) == [survivor]


def test_two_beats_and_one_broker_make_one_run_a_slot():
    tokens = schedules.for_job("cleanup_tokens")
    tokens.crontab, tokens.interval = None, IntervalSchedule.objects.create(every=1, period="seconds")
    tokens.save()
    with worker(), beat() as first, beat():
        edits.resume(tokens, by=None)
        # Excluding the row for the slots of the pause.
        made = JobRun.objects.filter(job="cleanup_tokens", trigger="schedule").exclude(reason="paused")
        wait_until(lambda: made.count() >= 4, timeout=30)
        first.kill()
        seen = made.count()
        wait_until(lambda: made.count() >= seen + 4, timeout=30)

    slots = sorted(made.values_list("scheduled_for", flat=True))
    assert len(slots) == len(set(slots))
    assert {later - earlier for earlier, later in itertools.pairwise(slots)} == {timedelta(seconds=1)}


def test_a_worker_told_to_stop_hands_the_purge_back_and_the_next_one_finishes_it():
    old_posts(20_000)
    survivor = factories.post(created_at=timezone.now())
    with worker(**LONG_PURGE) as first:
        run = requests.request_run(job="purge_old_content", trigger="admin")
        wait_until(lambda: JobRun.objects.filter(pk=run.pk, progress_done__gt=0).exists(), timeout=30)
        first.signal(signal.SIGTERM)
        first.process.wait(10)
    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)
    assert (run.status, run.reason) == ("interrupted", "worker_stopped")

    with worker(**LONG_PURGE):
        wait_until(lambda: final(attempt), timeout=60)

    assert attempt.status == "succeeded"
    assert run.counts["scraping.RedditPost"] + attempt.counts["scraping.RedditPost"] == 20_000
    assert list(RedditPost.objects.all()) == [survivor]


def test_a_worker_killed_in_the_middle_of_a_purge_loses_and_repeats_nothing(monkeypatch):
    old_posts(20_000)
    survivor = factories.post(created_at=timezone.now())
    with worker(**LONG_PURGE) as first:
        run = requests.request_run(job="purge_old_content", trigger="admin")
        wait_until(lambda: JobRun.objects.filter(pk=run.pk, progress_done__gt=0).exists(), timeout=30)
        first.kill()
    # Simulate half a minute without a heartbeat.
    JobRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))

    with worker(**LONG_PURGE), beat():
        wait_until(lambda: JobRun.objects.filter(retry_of=run, status="succeeded").exists(), timeout=60)

    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)
    assert (run.status, run.reason) == ("interrupted", "worker_lost")
    assert run.counts["scraping.RedditPost"] + attempt.counts["scraping.RedditPost"] == 20_000
    assert list(RedditPost.objects.all()) == [survivor]


def test_a_run_whose_message_was_lost_is_performed_all_the_same(broker_client):
    with transaction.atomic():
        run = requests.request_run(job="cleanup_tokens", trigger="admin")
    broker_client.flushdb()
    JobRun.objects.filter(pk=run.pk).update(sent_at=timezone.now() - timedelta(minutes=1))

    with worker(), beat():
        wait_until(lambda: final(run), timeout=60)

    assert run.status == "succeeded"
