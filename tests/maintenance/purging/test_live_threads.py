"""Threads are kept while they are alive: if the retention says so, a post is as old as its newest comment."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from maintenance import retention
from maintenance.context import JobContext
from maintenance.jobs import content_cutoffs
from maintenance.ledger import interventions, performing, requests
from maintenance.models import JobRun, RetentionOverride, RetentionPolicy
from maintenance.purging.days import stored_retention
from maintenance.purging.facts import RuleEffect
from maintenance.retention import Retention
from maintenance.scheduling import seeding
from scraping.content.storage import store_comments
from scraping.models import RedditComment, RedditPost
from tests.kit import factories
from tests.kit.scraped import raw_comment

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
ALIVE = Retention(90, keeps_live_threads=True)


@pytest.fixture
def policy():
    return factories.retention_policy(job="purge_old_content", days=90)


def keep_live(policy, after=ALIVE):
    retention.change(policy, after, by=factories.superuser())


def thread(days, quiet=None, **fields):
    """Create a post of this age in days; its newest comment is ``quiet`` days old."""
    now = timezone.now()
    newest = None if quiet is None else now - quiet * DAY
    post = factories.post(created_at=now - days * DAY, newest_comment_at=newest, **fields)
    if newest:
        factories.comment(post=post, created_at=newest)
    return post


def perform(**options):
    run = requests.request_run(job="purge_old_content", trigger="command", send=False, **options)
    performing.perform(run)
    run.refresh_from_db()
    return run


def test_a_purge_keeps_what_is_still_talked_about(policy):
    keep_live(policy)
    alive, young = thread(900, quiet=89), thread(10)
    thread(900, quiet=91), thread(91)

    assert perform().status == JobRun.Status.SUCCEEDED

    assert set(RedditPost.objects.all()) == {alive, young}
    assert RedditComment.objects.get().post == alive


def test_without_the_option_the_post_alone_counts(policy):
    thread(91, quiet=1)
    young = thread(89, quiet=1)
    perform()
    assert list(RedditPost.objects.all()) == [young]


@pytest.mark.parametrize(("distance", "stays"), [(-MOMENT, False), (timedelta(0), True), (MOMENT, True)])
def test_the_cutoff_is_exact(distance, stays):
    cutoff = timezone.now() - 90 * DAY
    factories.post(created_at=cutoff - DAY, newest_comment_at=cutoff + distance)
    to_delete = RedditPost.objects.created_before(cutoff, keeps_live_threads=True)
    assert to_delete.exists() != stays


@pytest.mark.slow
def test_an_override_counts_from_the_newest_comment_too(policy):
    keep_live(policy, Retention(90, (RetentionOverride(subreddit="memes", days=5),), keeps_live_threads=True))
    alive = [thread(50, quiet=4, subreddit="memes"), thread(100, quiet=50)]
    thread(50, quiet=6, subreddit="Memes")

    perform()

    assert set(RedditPost.objects.all()) == set(alive)


@pytest.mark.slow
def test_the_plan_says_how_many_live_threads_stay(policy, client):
    keep_live(policy)
    thread(100, quiet=1), thread(100, quiet=2), thread(100), thread(1)

    plan = performing.preview("purge_old_content").tables[0]

    assert (plan.rows, plan.rules) == (1, [RuleEffect("", 90, rows=1, sooner=0, kept=2)])
    client.force_login(factories.superuser())
    run = perform(dry_run=True)
    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    assert "Keeps although older" in page


# --- The mandate -----------------------------------------------------------------------------


def test_switched_off_after_the_approval_other_posts_do_not_go(policy, settings):
    keep_live(policy)
    settings.PURGE_CAP_ROWS = 1
    gone, alive = [thread(100) for _ in range(2)], thread(500, quiet=1)
    run = perform()
    assert run.status == JobRun.Status.BLOCKED
    interventions.approve_run(run, by=factories.superuser(), reason="seen", plan_at=run.plan["at"])
    keep_live(policy, Retention(90))

    run.refresh_from_db()
    performing.perform(run)

    run.refresh_from_db()
    assert run.status == JobRun.Status.BLOCKED
    assert "1 other posts would be deleted" in run.message
    assert set(RedditPost.objects.all()) == {*gone, alive}


@pytest.mark.slow
def test_switched_on_while_a_purge_runs_spares_what_is_alive(policy, monkeypatch):
    for name in ("BATCH_ROWS_FIRST", "BATCH_ROWS_MIN", "BATCH_ROWS_MAX"):
        monkeypatch.setattr(f"maintenance.purging.batches.{name}", 1)
    monkeypatch.setattr("maintenance.purging.batches.STORAGE_WALK_SHARE", 2)
    thread(200), thread(150)
    alive = thread(100, quiet=1)
    checkpoint = JobContext.checkpoint

    def switch_on(context):
        if RedditPost.objects.count() == 2:
            keep_live(policy)
        checkpoint(context)

    monkeypatch.setattr(JobContext, "checkpoint", switch_on)
    run = perform()
    assert (run.status, run.reason) == (JobRun.Status.INTERRUPTED, "retention")

    last = JobRun.objects.get(retry_of=run)
    JobRun.objects.filter(pk=last.pk).update(not_before=None)
    last.refresh_from_db()
    performing.perform(last)

    assert list(RedditPost.objects.all()) == [alive]


def test_keys_of_before_stay_equal_and_are_read():
    assert Retention(90).key() == "[90, []]"
    assert Retention.from_key("[90, []]") == Retention(90)
    assert Retention.from_key(ALIVE.key()) == ALIVE
    assert ALIVE.key() != Retention(90).key()


# --- Editing ---------------------------------------------------------------------------------


@pytest.fixture
def address(policy):
    seeding.seed()
    return reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk])


@pytest.mark.slow
def test_the_form_counts_and_saves_and_keeps_it_in_the_history(client, policy, address):
    client.force_login(factories.superuser())
    thread(500, quiet=1), thread(500)
    preview = reverse("admin:maintenance_retention_preview", args=[policy.pk])

    fragment = client.post(preview, {"days": 90, "keeps_live_threads": "on"}).content.decode()
    assert "would keep 2 rows" in fragment  # the post and its comment
    client.post(address, {"days": 90, "keeps_live_threads": "on"})
    assert RetentionPolicy.objects.get(pk=policy.pk).keeps_live_threads
    assert Event.objects.get().after["keeps_live_threads"] is True

    asked = client.post(address, {"days": 90})  # off again: two more rows would be deleted
    assert "Delete more?" in asked.content.decode()
    assert RetentionPolicy.objects.get(pk=policy.pk).keeps_live_threads
    client.post(address, {"days": 90, "seen": asked.context["seen"], "opened": asked.context["opened"]})
    assert not RetentionPolicy.objects.get(pk=policy.pk).keeps_live_threads
    assert Event.objects.count() == 2


@pytest.mark.slow
def test_jobs_without_threads_are_not_asked(client, address):
    client.force_login(factories.superuser())
    other = RetentionPolicy.objects.get(job="cleanup_sessions")
    page = reverse("admin:maintenance_retentionpolicy_change", args=[other.pk])
    assert b"keeps_live_threads" in client.get(address).content
    assert b"keeps_live_threads" not in client.get(page).content
    client.post(page, {"days": 31, "keeps_live_threads": "on"})
    RetentionPolicy.objects.filter(pk=other.pk).update(keeps_live_threads=True)
    kept = stored_retention("cleanup_sessions", default=1, has_overrides=False)
    assert (kept.days, kept.keeps_live_threads) == (31, False)


# --- Scraping --------------------------------------------------------------------------------


def comment_of(post, days):
    at = timezone.now() - days * DAY
    return raw_comment({"name": post.fullname}, created_utc=at.timestamp()), at


@pytest.mark.slow
def test_storing_comments_lets_the_post_know(policy):
    keep_live(policy)
    post, other = thread(500), thread(500)
    (young, at), (old, _), (future, _) = comment_of(post, 3), comment_of(post, 300), comment_of(post, -1)

    store_comments(RedditPost.objects.get(pk=post.pk), [old, young, future], seen_at=timezone.now())
    store_comments(RedditPost.objects.get(pk=post.pk), [old], seen_at=timezone.now())

    post.refresh_from_db()
    assert abs(post.newest_comment_at - at) < timedelta(seconds=1)
    assert content_cutoffs().expired(RedditPost.objects.all()).get() == other
    perform()
    assert list(RedditPost.objects.all()) == [post]
