"""What each job changes, and what it does not: one function per job, with the job's name, sets up both.

Add a function for a new job here; ``test_a_job_has_its_effect_and_leaves_its_survivors`` performs the job and checks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.utils import timezone

from maintenance.ledger import performing, requests
from maintenance.models import JobRun, UsualRows
from maintenance.registry import jobs
from scraping.models import ContentState, RedditPost
from tests.kit import factories, yields

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Effect:
    """Rows that exist before the job is performed, and what must happen to them."""

    survivors: list  # rows that must be unchanged afterwards
    gone: list = field(default_factory=list)  # rows that must be deleted
    happened: Callable[[], bool] | None = None  # for a job that does not delete: False before, True after
    params: dict = field(default_factory=dict)


def cleanup_tokens():
    return Effect(
        gone=[factories.expired_refresh_token(), factories.expired_password_reset_token()],
        survivors=[factories.refresh_token(), factories.password_reset_token()],
    )


def cleanup_sessions():
    now = timezone.now()
    old = factories.session(finished_at=now - timedelta(days=31))
    post = factories.post(session=old)
    return Effect(gone=[old], survivors=[post, factories.session(finished_at=now - timedelta(days=29))])


def purge_old_content():
    now = timezone.now()
    old = factories.comment(post=factories.post(created_at=now - timedelta(days=91)))
    new = factories.comment(post=factories.post(created_at=now - timedelta(days=89)))
    return Effect(gone=[old, old.post], survivors=[new, new.post])


def auto_scraping():
    manual = factories.bot_config(subreddits=["rust"], auto_scrape=False)
    config = factories.bot_config(subreddits=["python"], post_limit=5)
    return Effect(happened=lambda: config.posts.count() == 5, survivors=[manual, factories.post()])


def cleanup_run_history():
    long_ago = timezone.now() - timedelta(days=200)
    old, *newest = (factories.job_run(job="cleanup_tokens", finished_at=long_ago) for _ in range(101))
    return Effect(gone=[old], survivors=newest)


def cleanup_events():
    now = timezone.now()
    return Effect(
        gone=[factories.event(at=now - timedelta(days=731))],
        survivors=[factories.event(at=now - timedelta(days=729))],
    )


def cleanup_login_sessions():
    now = timezone.now()
    return Effect(
        gone=[factories.login_session(expire_date=now - timedelta(minutes=1))],
        survivors=[factories.login_session(expire_date=now + timedelta(minutes=1))],
    )


def learn_usual_rows():
    now = timezone.now()
    often, seldom = factories.schedule(), factories.schedule()
    days = [now - timedelta(days=number) for number in range(30)]
    runs = yields.store_runs(often, [(day, 1_000) for day in days])
    yields.store_runs(seldom, [(day, 1_000) for day in days[:5]])
    return Effect(
        happened=lambda: set(UsualRows.objects.values_list("schedule_id", flat=True)) == {often.pk},
        survivors=[*runs, often, seldom],
    )


def refresh_stored_content():
    """Reddit does not know one of the posts, but knows the others."""
    config = factories.bot_config(subreddits=["python"], post_limit=2)
    performing.perform(
        requests.request_run(job="scrape_now", trigger="command", params={"config": config.pk}, send=False)
    )
    shown = list(RedditPost.objects.all())
    long_ago = timezone.now() - timedelta(days=3)
    unknown = factories.post(subreddit="python", checked_at=long_ago, missing_count=0)
    return Effect(
        happened=lambda: RedditPost.objects.get(pk=unknown.pk).checked_at > long_ago,
        survivors=[post for post in shown if post.state == ContentState.LIVE],
    )


def scrape_now():
    config = factories.bot_config(subreddits=["python"], post_limit=5)
    other = factories.bot_config(subreddits=["django"])
    return Effect(
        params={"config": config.pk},
        happened=lambda: config.posts.count() == 5,
        survivors=[other, factories.post()],
    )


def stored(row):
    """Return the current columns of the row; None: it was deleted."""
    return type(row)._base_manager.filter(pk=row.pk).values().first()


@pytest.mark.slow
@pytest.mark.parametrize("slug", [job.slug for job in jobs()])
def test_a_job_has_its_effect_and_leaves_its_survivors(slug, reddit):
    assert slug in globals(), (
        f"{slug} has no function in {__file__} that says what it does and what survives it"
    )
    effect = globals()[slug]()
    assert effect.survivors, f"{slug} names no survivor: what must it leave alone?"
    assert effect.gone or effect.happened, f"{slug} names no effect: gone=[…] or happened=…"
    before = [stored(row) for row in effect.survivors]
    assert all(before)
    assert all(stored(row) for row in effect.gone)
    assert effect.happened is None or not effect.happened()

    run = requests.request_run(job=slug, trigger="command", params=effect.params, send=False)
    performing.perform(run)

    assert JobRun.objects.get(pk=run.pk).status in ("succeeded", "partial"), run.error
    assert [stored(row) for row in effect.gone] == [None] * len(effect.gone)
    assert effect.happened is None or effect.happened()
    ours = {"last_seen_at", "checked_at", "score", "num_comments"}  # a sweep may see an item again

    def steady(rows):
        return [{name: value for name, value in row.items() if name not in ours} for row in rows]

    assert steady([stored(row) for row in effect.survivors]) == steady(before)
