"""Which rows the deleting jobs delete, each with a survivor."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts.models import PasswordResetToken, RefreshToken
from audit import triggers
from audit.models import Event
from maintenance import retention
from maintenance.ledger import requests
from maintenance.models import JobRun, RetentionPolicy, RunLogLine, RunsOfDay
from maintenance.purging.days import Retention
from maintenance.registry import InvalidParams
from maintenance.scheduling import seeding
from scraping.models import RedditComment, RedditPost, ScrapeSession
from tests.kit import factories
from tests.kit.steps import ran

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_cleanup_tokens_deletes_dead_tokens_and_keeps_live_ones():
    live = factories.refresh_token(), factories.password_reset_token()
    factories.expired_refresh_token()
    factories.refresh_token(revoked_at=timezone.now())
    factories.expired_password_reset_token()
    factories.password_reset_token(used_at=timezone.now())

    run = ran("cleanup_tokens")

    assert (list(RefreshToken.objects.all()), list(PasswordResetToken.objects.all())) == (
        [live[0]],
        [live[1]],
    )
    assert run.counts == {
        "accounts.ApiToken": 0,
        "accounts.IdempotencyKey": 0,
        "accounts.PersonalToken": 0,
        "maintenance.HookCall": 0,
        "accounts.RefreshToken": 2,
        "accounts.PasswordResetToken": 2,
    }


def test_cleanup_sessions_keeps_running_and_recent_sessions_and_all_content():
    now = timezone.now()
    old = factories.session(status="succeeded", finished_at=now - timedelta(days=31))
    recent = factories.session(status="succeeded", finished_at=now - timedelta(days=29))
    running = factories.session(status="running", started_at=now - timedelta(days=99))
    post = factories.post(session=old)

    run = ran("cleanup_sessions")

    assert set(ScrapeSession.objects.all()) == {recent, running}
    assert RedditPost.objects.filter(pk=post.pk).exists()
    assert run.counts == {"scraping.ScrapeSession": 1}


def test_purge_old_content_deletes_by_age_and_leaves_newer_subreddits_alone():
    now = timezone.now()
    factories.comment(post=factories.post(subreddit="old", created_at=now - timedelta(days=91)))
    kept = factories.comment(post=factories.post(subreddit="new", created_at=now - timedelta(days=89)))

    run = ran("purge_old_content")

    assert list(RedditComment.objects.all()) == [kept]
    assert list(RedditPost.objects.all()) == [kept.post]
    assert run.counts == {"scraping.RedditPost": 1, "scraping.RedditComment": 1}


def test_purge_old_content_keeps_as_many_days_as_it_is_told():
    now = timezone.now()
    kept = factories.post(created_at=now - timedelta(days=4))
    factories.post(created_at=now - timedelta(days=6))

    ran("purge_old_content", params={"days": 5})

    assert list(RedditPost.objects.all()) == [kept]


def test_purge_old_content_keeps_subreddits_and_bots_as_long_as_operators_say():
    now = timezone.now()
    archive = factories.bot_config()
    factories.retention_override(subreddit="Python", days=400)
    factories.retention_override(subreddit="memes", days=10)
    factories.retention_override(config=archive, days=400)

    def aged(days, **fields):
        return factories.post(created_at=now - timedelta(days=days), **fields)

    kept = {
        aged(89, subreddit="django"),
        aged(399, subreddit="python"),
        aged(399, subreddit="rust", config=archive),
        aged(399, subreddit="Memes", config=archive),  # the longer of two retentions
        aged(9, subreddit="Memes"),
    }
    aged(91, subreddit="django")
    aged(401, subreddit="PYTHON")
    aged(401, subreddit="rust", config=archive)
    aged(11, subreddit="Memes")

    run = ran("purge_old_content")

    assert set(RedditPost.objects.all()) == kept
    assert run.counts["scraping.RedditPost"] == 4


def test_purge_old_content_heeds_the_overrides_of_a_run_that_is_given_other_days():
    now = timezone.now()
    factories.retention_override(subreddit="python", days=400)
    kept = factories.post(created_at=now - timedelta(days=100), subreddit="python")
    factories.post(created_at=now - timedelta(days=100), subreddit="django")

    ran("purge_old_content", params={"days": 50})

    assert list(RedditPost.objects.all()) == [kept]


@pytest.mark.slow
def test_cleanup_run_history_keeps_the_newest_hundred_of_each_job_and_open_runs():
    long_ago = timezone.now() - timedelta(days=200)
    runs_of_one = [
        factories.job_run(status="succeeded", job="cleanup_tokens", finished_at=long_ago) for _ in range(103)
    ]
    lonely = factories.job_run(status="succeeded", job="cleanup_sessions", finished_at=long_ago)
    waiting = factories.job_run(status="queued", job="cleanup_tokens", queued_at=long_ago)
    factories.log_line(run=runs_of_one[0])
    kept_line = factories.log_line(run=runs_of_one[-1])
    for day in (long_ago, timezone.now()):
        RunsOfDay.objects.create(day=day.date(), runs=1, sums="{}")

    run = ran("cleanup_run_history")

    left = set(JobRun.objects.exclude(pk=run.pk))
    assert left == {
        *runs_of_one[4:],
        lonely,
        waiting,
    }  # 99 finished runs and the waiting one are the newest 100
    assert list(RunLogLine.objects.exclude(run=run)) == [kept_line]
    assert [row.day for row in RunsOfDay.objects.all()] == [timezone.now().date()]


def test_cleanup_events_deletes_what_is_older_than_its_retention():
    triggers.install(Event, connection)
    now = timezone.now()
    old = factories.event(at=now - timedelta(days=730, minutes=1))
    kept = factories.event(at=now - timedelta(days=730) + timedelta(minutes=1))
    try:
        assert ran("cleanup_events").counts == {"audit.Event": 1}

        assert not Event.objects.filter(pk=old.pk).exists()
        assert Event.objects.filter(pk=kept.pk).exists()
    finally:
        triggers.remove(connection)


@pytest.mark.parametrize(("days", "is_right"), [(180, True), (179, False)])
def test_no_retention_of_events_is_shorter_than_the_database_allows(days, is_right):
    seeding.seed()
    policy = RetentionPolicy.objects.get(job="cleanup_events")
    if is_right:
        retention.change(policy, Retention(days), by=factories.superuser())
    else:
        with pytest.raises(ValidationError, match="180"):
            retention.change(policy, Retention(days), by=factories.superuser())
        with pytest.raises(InvalidParams):
            requests.request_run(job="cleanup_events", trigger="command", params={"days": days})


def test_cleanup_login_sessions_keeps_those_still_good():
    now = timezone.now()
    good = factories.login_session(expire_date=now + timedelta(minutes=1))
    factories.login_session(expire_date=now - timedelta(minutes=1))

    ran("cleanup_login_sessions")

    assert list(Session.objects.all()) == [good]
