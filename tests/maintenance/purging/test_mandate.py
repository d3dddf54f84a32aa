"""A run does only what was authorised: its mandate, and each way of giving one."""

from datetime import timedelta

import pytest
from django.utils import timezone

from database import clock
from maintenance.ledger import decisions, interventions
from maintenance.models import JobRun
from maintenance.purging.mandate import has_grown
from scraping.models import RedditPost
from tests.kit import factories
from tests.kit.purges import DAY, approved, blocked_purge, comments, interrupted, keep, posts, purged

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status

POST, COMMENT = "scraping.RedditPost", "scraping.RedditComment"


@pytest.fixture(autouse=True)
def caps(settings):
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_SHARE = 10_000, 1.0


@pytest.mark.parametrize(
    ("rows", "allowed", "grown"),
    [
        (100, 0, False),
        (101, 0, True),
        (1_000, 900, False),
        (1_101, 1_000, True),
        (1_100, 1_000, False),
        (11_000, 10_000, False),
        (11_001, 10_000, True),
        (1, 1_000, False),
    ],
)
def test_a_plan_has_grown_by_more_than_a_tenth_and_more_than_a_hundred_rows(rows, allowed, grown):
    assert has_grown(rows, allowed) is grown


@pytest.mark.slow
def test_an_approval_does_not_cover_other_rows_than_those_of_the_plan(settings):
    posts(200, days=100, subreddit="old")
    others = posts(200, days=40, subreddit="young")
    run = blocked_purge(settings)

    keep(30, old=400)
    approved(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 400)
    assert "Changed since the plan: under the retention as it is now, 200 other posts" in run.message
    approved(run)  # with the new plan
    assert run.status == Status.SUCCEEDED
    assert set(RedditPost.objects.values_list("subreddit", flat=True)) == {"old"}
    assert not RedditPost.objects.filter(pk__in=[post.pk for post in others]).exists()


@pytest.mark.slow
def test_posts_and_comments_are_not_one_sum(settings):
    approved_posts = posts(100)
    comments(approved_posts[0], 900)
    run = blocked_purge(settings)

    RedditPost.objects.update(held_at=timezone.now(), hold_reason="court order")
    posts(1_000, days=95)
    approved(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 1_100)
    assert "Changed since the plan: 1,000 posts would be deleted, 100 were planned." in run.message


def test_comments_that_have_grown_stop_it_too(settings):
    (post,) = posts(1)
    run = blocked_purge(settings)
    comments(post, 150)

    approved(run)

    assert run.status == Status.BLOCKED
    assert "150 comments would be deleted, 0 were planned" in run.message


@pytest.mark.slow
def test_fewer_rows_and_a_few_more_never_stop_it(settings):
    made = posts(200)
    run = blocked_purge(settings)
    RedditPost.objects.filter(pk__in=[post.pk for post in made[:150]]).update(
        held_at=timezone.now(), hold_reason="court order"
    )
    posts(90, days=95)

    approved(run)

    assert run.status == Status.SUCCEEDED
    assert RedditPost.objects.count() == 150


def test_what_became_due_since_the_plan_is_the_next_runs_work(settings):
    now = timezone.now()
    posts(5)
    survivor = factories.post(created_at=now - 90 * DAY + timedelta(minutes=1))
    run = blocked_purge(settings)
    plan = {**run.plan, "now": (now - timedelta(minutes=30)).isoformat()}
    JobRun.objects.filter(pk=run.pk).update(plan=plan)
    RedditPost.objects.filter(pk=survivor.pk).update(created_at=now - 90 * DAY - timedelta(minutes=1))
    run.refresh_from_db()

    approved(run)

    assert run.status == Status.SUCCEEDED
    assert list(RedditPost.objects.all()) == [survivor]


def aged_plan(run, age):
    JobRun.objects.filter(pk=run.pk).update(plan={**run.plan, "at": (clock.now() - age).isoformat()})
    run.refresh_from_db()


@pytest.mark.slow
def test_the_approval_of_a_plan_older_than_a_day_asks_again(settings):
    posts(3)
    run = blocked_purge(settings)
    aged_plan(run, 60 * DAY)

    with pytest.raises(interventions.PlanExpired, match="planned again"):
        interventions.approve_run(run, by=factories.superuser(), reason="seen")
    purged(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 3)
    assert not decisions.is_plan_expired(run)
    approved(run)
    assert (run.status, RedditPost.objects.count()) == (Status.SUCCEEDED, 0)


def test_an_approval_that_no_worker_used_for_a_day_asks_again(settings):
    posts(3)
    run = blocked_purge(settings)
    aged_plan(run, DAY - timedelta(minutes=1))
    interventions.approve_run(run, by=factories.superuser(), reason="seen")
    run.refresh_from_db()
    late = (clock.now() - timedelta(seconds=1)).isoformat()
    JobRun.objects.filter(pk=run.pk).update(mandate={**run.mandate, "valid_until": late})

    purged(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 3)
    assert "more than a day old" in run.message


@pytest.mark.slow
def test_a_run_that_has_begun_goes_on_after_its_day(settings, small_batches):
    posts(150)
    run = blocked_purge(settings)
    interventions.approve_run(run, by=factories.superuser(), reason="seen")
    run.refresh_from_db()
    attempt = interrupted(run, left=100)
    late = (clock.now() - timedelta(seconds=1)).isoformat()
    JobRun.objects.filter(pk=attempt.pk).update(mandate={**attempt.mandate, "valid_until": late})

    purged(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.SUCCEEDED, 0)


def shown(dry):
    return decisions.shown_by_run(dry.pk, job="purge_old_content")


@pytest.mark.slow
def test_a_run_does_what_its_plan_showed_and_not_fifty_times_as_much():
    posts(10)
    dry = purged(dry_run=True)
    posts(500, days=95)

    run = purged(shown=shown(dry))

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 510)
    assert "510 posts would be deleted, 10 were planned." in run.message


def test_a_plan_and_an_edit_of_the_retention_meet():
    posts(10)
    posts(3, days=50)
    dry = purged(dry_run=True)
    keep(40)

    run = purged(shown=shown(dry))

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 13)
    assert "3 other posts" in run.message


def test_a_longer_retention_spares_rows_of_the_plan_without_a_word():
    posts(10)
    survivors = posts(3, days=95)
    dry = purged(dry_run=True)
    keep(97)

    run = purged(shown=shown(dry))

    assert run.status == Status.SUCCEEDED
    assert set(RedditPost.objects.all()) == set(survivors)


def test_a_seen_plan_does_not_lift_the_caps(settings):
    posts(10)
    settings.PURGE_CAP_ROWS = 9
    dry = purged(dry_run=True)

    assert purged(shown=shown(dry)).status == Status.BLOCKED


def test_what_is_no_mandate_allows_nothing_past_the_caps(settings):
    posts(3)
    run = blocked_purge(settings)
    interventions.approve_run(run, by=factories.superuser(), reason="seen")
    JobRun.objects.filter(pk=run.pk).update(mandate={"rows": {POST: 9}})

    purged(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 3)
