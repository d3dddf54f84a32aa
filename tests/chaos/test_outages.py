"""The broker, the database and the workers fail; every requested run reaches its end, and nothing is done twice."""

import os
import time
from datetime import timedelta
from functools import partial

import pytest
from django.db import Error, connection
from django.db.models import Q
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.ledger import requests
from maintenance.models import JobRun, ScheduleControl
from scraping.models import RedditPost
from scraping.sandbox import SandboxReddit
from tests.chaos.servers import own_broker, own_postgres
from tests.chaos.services import beat, supervised_worker, worker
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

# `make chaos` is the long version: servers are down for half a minute, and twenty workers are killed.
FULL = os.environ.get("CHAOS") == "full"
AWAY, KILLS = (30, 20) if FULL else (8, 3)
# A lost worker is found in 6 seconds; a purge may delete nearly the whole table, slowly enough to be interrupted.
# Purges are slow enough to be met in the middle: fifty times as long as their batches take.
QUICK = {"HEARTBEAT_SECONDS": "1", "PURGE_CAP_SHARE": "1", "PURGE_THROTTLE": "0.02"}
AT_FULL_SPEED = QUICK | {"PURGE_THROTTLE": "1"}
POSTS = 8_000
# Seconds; a slow machine that does something else needs them.
PATIENCE = 120


@pytest.fixture(autouse=True)
def only_what_a_test_schedules(db):
    PeriodicTask.objects.all().delete()


def every_second(job="cleanup_tokens"):
    interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(name=f"often {job}", task=f"maintenance.{job}", interval=interval)


def settled():
    """Whether every run has ended; False while the database is not back yet."""
    try:
        return not JobRun.objects.open().exists()
    except Error:
        connection.close()
        return False


def has_ticked_past(task, moment):
    """Whether the scheduler has recorded every slot up to then: an edit would fold the others into one row."""
    return ScheduleControl.objects.filter(pk=task.pk, next_slot_at__gt=moment).exists()


def assert_no_slot_is_missing(task, *, since, until):
    """``since``: when the schedule came into force; each edit changes it."""
    slots = list(
        JobRun.objects.filter(schedule=task, trigger="schedule").values_list("scheduled_for", flat=True)
    )
    first = since + timedelta(seconds=1)
    expected = [first + timedelta(seconds=n) for n in range(int((until - first).total_seconds()) + 1)]
    assert len(expected) > AWAY
    assert sorted(slots)[: len(expected)] == expected
    assert len(slots) == len(set(slots))


def test_the_broker_is_killed_and_emptied(settings):
    with own_broker(settings) as server, supervised_worker(**QUICK), beat():
        task = every_second()
        wait_until(lambda: JobRun.objects.filter(status="succeeded").count() >= 3, timeout=40)
        # As it is stored: the scheduler may have noticed the new schedule in the same moment.
        since = ScheduleControl.objects.get(pk=task.pk).effective_from
        server.kill_and_empty()
        requested = [
            requests.request_run(job=job, trigger="api", send=False)
            for job in ("cleanup_sessions", "cleanup_login_sessions", "cleanup_run_history")
        ]
        time.sleep(AWAY)  # the outage itself
        server.start()
        back_at = timezone.now()
        wait_until(partial(has_ticked_past, task, back_at), timeout=PATIENCE)
        task.enabled = False
        task.save()
        wait_until(settled, timeout=PATIENCE)

        assert_no_slot_is_missing(task, since=since, until=back_at)
        assert {JobRun.objects.get(pk=run.pk).status for run in requested} == {"succeeded"}
        assert not JobRun.objects.filter(Q(status="failed") | Q(reason="no_scheduler")).exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is no server")
def test_the_database_is_restarted(settings):
    with own_broker(settings), own_postgres() as server, supervised_worker(**QUICK), beat():
        PeriodicTask.objects.all().delete()
        task = every_second()
        wait_until(lambda: JobRun.objects.filter(status="succeeded").count() >= 3, timeout=40)
        # As it is stored: the scheduler may have noticed the new schedule in the same moment.
        since = ScheduleControl.objects.get(pk=task.pk).effective_from
        RedditPost.objects.bulk_create(
            factories.unsaved_post(created_at=timezone.now() - timedelta(days=100)) for _ in range(POSTS)
        )
        survivor = factories.post(created_at=timezone.now())
        purge = requests.request_run(job="purge_old_content", trigger="api", send=False)
        wait_until(lambda: JobRun.objects.filter(pk=purge.pk, progress_done__gt=0).exists(), timeout=30)
        server.stop()
        connection.close()
        time.sleep(AWAY)  # the outage itself
        server.start()
        back_at = timezone.now()
        wait_until(lambda: settled_but(task), timeout=PATIENCE)
        wait_until(partial(has_ticked_past, task, back_at), timeout=PATIENCE)
        task = PeriodicTask.objects.get(pk=task.pk)
        task.enabled = False
        task.save()
        wait_until(settled, timeout=PATIENCE)

        assert_no_slot_is_missing(task, since=since, until=back_at)
        assert list(RedditPost.objects.all()) == [survivor]
        assert not JobRun.objects.filter(Q(status="failed") | Q(reason="no_scheduler")).exists()
        assert deleted_by(purge) == POSTS


def settled_but(task):
    """Whether every run has ended, apart from those of this schedule."""
    try:
        return not JobRun.objects.open().exclude(schedule_id=task.pk).exists()
    except Error:
        connection.close()
        return False


def attempts_of(run):
    """The run and its further attempts, in order."""
    attempts = [JobRun.objects.get(pk=run.pk)]
    while following := JobRun.objects.filter(retry_of=attempts[-1]).first():
        attempts.append(following)
    return attempts


def deleted_by(run):
    return sum(attempt.counts.get("scraping.RedditPost", 0) for attempt in attempts_of(run))


def latest_progress(run):
    last = attempts_of(run)[-1]
    return last.pk, last.status, last.progress_done


def test_workers_are_killed_in_the_middle_of_a_purge(broker):
    RedditPost.objects.bulk_create(
        factories.unsaved_post(created_at=timezone.now() - timedelta(days=100)) for _ in range(12_000 * KILLS)
    )
    survivor = factories.post(created_at=timezone.now())
    run = requests.request_run(job="purge_old_content", trigger="api")
    with beat(**QUICK):
        for _ in range(KILLS):
            before = deleted_by(run)
            with worker(**QUICK) as victim:
                wait_until(partial(has_got_further, run, before), timeout=PATIENCE, every=0.01)
                victim.kill()
        with worker(**AT_FULL_SPEED):
            wait_until(lambda: is_over(run), timeout=PATIENCE)

    attempts = attempts_of(run)
    assert attempts[-1].status == "succeeded"
    assert {attempt.reason for attempt in attempts[:-1]} <= {"worker_lost"}
    assert deleted_by(run) == 12_000 * KILLS
    assert list(RedditPost.objects.all()) == [survivor]


def has_got_further(run, before):
    return deleted_by(run) > before or is_over(run)


def is_over(run):
    last = attempts_of(run)[-1]
    return last.is_final and last.status != "interrupted"


def test_workers_are_killed_in_the_middle_of_a_scrape(broker):
    with SandboxReddit(rate_limit=1_000_000) as reddit:
        environment = {
            **QUICK,
            "REDDIT_CLIENT_ID": "sandbox",
            "REDDIT_CLIENT_SECRET": "sandbox",
            "REDDIT_USER_AGENT": "tests:console:1 (by /u/tests)",
            "REDDIT_URL": reddit.url,
            "REDDIT_OAUTH_URL": reddit.url,
        }
        killed = 0
        with beat(**environment):
            for number in range(KILLS):
                config = factories.bot_config(
                    subreddits=[f"chaos{number}"], post_limit=200, comment_policy="first_page"
                )
                run = requests.request_run(job="scrape_now", trigger="api", params={"config": config.pk})
                found = RedditPost.objects.filter(subreddit=f"chaos{number}")
                with worker(**environment) as victim:
                    wait_until(found.exists, timeout=PATIENCE, every=0.01)
                    victim.kill()
                killed += not is_over(run)
                with worker(**environment):
                    wait_until(partial(is_over, run), timeout=PATIENCE)

                assert attempts_of(run)[-1].status == "succeeded"
                assert found.count() == 200
                assert not config.sessions.filter(status="running").exists()

    assert killed
    assert not JobRun.objects.exclude(status__in=["succeeded", "interrupted"]).exists()
