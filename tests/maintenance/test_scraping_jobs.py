"""The jobs that send requests to Reddit."""

from datetime import timedelta

import prawcore.sessions
import pytest
from django.utils import timezone

from maintenance import jobs as job_list
from maintenance import registry
from maintenance.ledger import performing, requests
from maintenance.models import JobRun, RunLogLine
from scraping.models import RedditComment, RedditPost, RequestBudget, ScrapeSession
from scraping.reddit.budget import Allowance, RateHeaders
from scraping.reddit.errors import OutOfBudget
from tests.kit import factories
from tests.kit.steps import ran

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_auto_scraping_scrapes_what_is_switched_on_and_one_bad_bot_stops_nothing(reddit):
    good = factories.bot_config(subreddits=["python"], post_limit=5)
    bad = factories.bot_config(subreddits=["sandbox_private"], post_limit=5)
    also_good = factories.bot_config(subreddits=["django"], post_limit=5)
    manual = factories.bot_config(subreddits=["rust"], auto_scrape=False)
    inactive = factories.bot_config(subreddits=["golang"], is_active=False)

    run = ran("auto_scraping")

    assert (run.status, run.message) == (JobRun.Status.PARTIAL, "2 of 3 bots scraped")
    states = {s.config: (s.status, s.error_kind) for s in ScrapeSession.objects.filter(run=run)}
    assert states == {good: ("succeeded", ""), bad: ("failed", "private"), also_good: ("succeeded", "")}
    assert {post.subreddit for post in RedditPost.objects.all()} == {"python", "django"}
    assert not manual.sessions.exists()
    assert not inactive.sessions.exists()


def test_auto_scraping_says_plainly_that_no_bot_is_on():
    factories.bot_config(auto_scrape=False)

    run = ran("auto_scraping")

    assert run.status == JobRun.Status.SUCCEEDED
    assert "No bot is active" in run.message


def test_scrape_now_scrapes_one_bot(reddit):
    config = factories.bot_config(subreddits=["python"], post_limit=5)
    other = factories.bot_config(subreddits=["django"], post_limit=5)

    run = ran("scrape_now", params={"config": config.pk})

    assert run.status == JobRun.Status.SUCCEEDED
    assert run.counts["posts_found"] == RedditPost.objects.count() == 5
    assert not other.sessions.exists()


def test_scrape_now_is_skipped_while_the_bot_is_scraped_already(reddit):
    busy = factories.job_run(status="running", job="auto_scraping")
    session = factories.session(status="running", run=busy)

    run = ran("scrape_now", params={"config": session.config.pk})

    assert (run.status, run.reason) == (JobRun.Status.SKIPPED, "overlap")


def test_scrape_now_is_for_the_owner_and_superusers():
    config = factories.bot_config()
    may_run = registry.get_job("scrape_now").may_run

    assert may_run(config.owner, {"config": config.pk})
    assert may_run(factories.superuser(), {"config": config.pk})
    assert not may_run(factories.user(), {"config": config.pk})


def used_up(seconds=300):
    """Use up the request allowance of the environment's app."""
    allowance = Allowance("sandbox")
    allowance.note(RateHeaders(1000, 0, seconds))
    allowance.give_back()


def goes_on(run):
    """Perform the next attempt, as a worker does when it is due."""
    JobRun.objects.filter(retry_of=run).update(not_before=timezone.now())
    RequestBudget.objects.all().delete()
    attempt = JobRun.objects.get(retry_of=run)
    performing.perform(attempt)
    attempt.refresh_from_db()
    return attempt


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["scrape_now", "auto_scraping", "refresh_stored_content"])
def test_a_job_whose_app_has_no_requests_left_goes_on_when_it_has(reddit, settings, slug):
    settings.COMPLIANCE_TARGET_PERCENT = 0  # Reddit does not know the post
    factories.post(checked_at=None)
    config = factories.bot_config(subreddits=["python"], post_limit=5)
    used_up()

    run = ran(slug, params={"config": config.pk} if slug == "scrape_now" else None)

    assert (run.status, run.reason) == (JobRun.Status.INTERRUPTED, "waits")
    assert 298 < (run.next_attempt.not_before - timezone.now()).total_seconds() < 302
    assert list(reddit.requests) == []
    assert goes_on(run).status == JobRun.Status.SUCCEEDED


@pytest.mark.slow
def test_auto_scraping_goes_on_with_the_bots_that_wait_and_does_the_others_once(reddit):
    app = factories.reddit_app(client_id="sandbox", client_secret="sandbox")
    waiting = [factories.bot_config(subreddits=["python"], post_limit=5) for _ in range(2)]
    done = factories.bot_config(subreddits=["django"], post_limit=5, app=app)
    reddit.access.clients["other"] = "other"
    app.client_id = app.client_secret = "other"
    app.save()
    used_up()

    run = ran("auto_scraping")

    assert (run.status, run.cursor["finished"]) == (JobRun.Status.INTERRUPTED, [done.pk])
    assert run.message.startswith("1 of 3 bots scraped")
    last = goes_on(run)
    assert (last.status, last.message) == (JobRun.Status.SUCCEEDED, "3 of 3 bots scraped")
    assert done.sessions.count() == 1
    assert [config.sessions.latest("pk").status for config in waiting] == ["succeeded"] * 2


@pytest.mark.slow
def test_auto_scraping_leaves_out_only_the_bots_whose_secret_is_lost(reddit, settings):
    settings.FIELD_ENCRYPTION_KEY = ["lost"]
    lost = factories.reddit_app(client_id="other", client_secret="s", name="lost app")
    settings.FIELD_ENCRYPTION_KEY = ["new"]
    left_out = factories.bot_config(name="left out", subreddits=["python"], post_limit=5, app=lost)
    scraped = factories.bot_config(subreddits=["django"], post_limit=5)

    run = ran("auto_scraping")

    assert (run.status, run.message) == (JobRun.Status.PARTIAL, "1 of 2 bots scraped")
    assert scraped.sessions.get().status == "succeeded"
    [line] = run.log_lines.filter(text__startswith="left out")
    assert "lost app" in line.text
    assert "FIELD_ENCRYPTION_KEY" in line.text
    left_out.refresh_from_db()
    assert left_out.is_active


@pytest.mark.slow
def test_auto_scraping_works_at_several_bots_at_once(reddit):
    reddit.latency = 0.25
    configs = [
        factories.bot_config(subreddits=[name], post_limit=5) for name in ("python", "django", "rust", "go")
    ]

    run = ran("auto_scraping")

    assert run.status == JobRun.Status.SUCCEEDED
    sessions = list(ScrapeSession.objects.filter(run=run))
    assert len(sessions) == len(configs)
    assert max(s.started_at for s in sessions) < min(s.finished_at for s in sessions)
    assert run.counts["posts_found"] == RedditPost.objects.count() == 20


@pytest.mark.slow
def test_auto_scraping_that_is_stopped_stops_all_its_bots_and_resumes_them(reddit):
    for name in ("python", "django", "rust", "go", "perl", "lisp"):
        factories.bot_config(subreddits=[name], post_limit=300, comment_policy="none")
    run = requests.request_run(job="auto_scraping", trigger="command", send=False)

    performing.perform(run, stopping=lambda: len(reddit.requests) > 6)

    run.refresh_from_db()
    assert (run.status, run.reason) == (JobRun.Status.INTERRUPTED, "worker_stopped")
    assert not ScrapeSession.objects.running().exists()
    assert goes_on(run).message == "6 of 6 bots scraped"
    assert RedditPost.objects.count() == 6 * 300


@pytest.mark.slow
def test_the_next_scrape_does_not_undo_the_retention(reddit):
    factories.retention_override(
        policy=factories.retention_policy(job="purge_old_content", days=30), subreddit="tinyGARDENS", days=100
    )
    config = factories.bot_config(subreddits=["TinyGardens", "SlowCooking"], sort="top", time_filter="all")
    old = factories.post(created_at=timezone.now() - timedelta(days=101))
    assert ran("purge_old_content").status == JobRun.Status.SUCCEEDED
    assert not RedditPost.objects.filter(pk=old.pk).exists()

    scraped = ran("scrape_now", params={"config": config.pk})

    ages = {
        name: timezone.now() - RedditPost.objects.filter(subreddit=name).earliest("created_at").created_at
        for name in ("TinyGardens", "SlowCooking")
    }
    assert timedelta(days=30) < ages["TinyGardens"] <= timedelta(days=100)
    assert ages["SlowCooking"] <= timedelta(days=30)
    assert scraped.counts["items_skipped"] > 0
    assert ran("purge_old_content").counts["scraping.RedditPost"] == 0


@pytest.mark.slow
def test_refresh_stored_content_blanks_what_was_deleted_and_keeps_the_rest(reddit):
    ran("scrape_now", params={"config": factories.bot_config(subreddits=["python"], post_limit=5).pk})
    deleted, kept = RedditPost.objects.filter(state="live").exclude(title="")[:2]
    reddit.world.change(deleted.fullname, "delete")

    run = ran("refresh_stored_content")

    deleted.refresh_from_db()
    title = kept.title
    kept.refresh_from_db()
    assert run.status == JobRun.Status.SUCCEEDED
    assert (deleted.state, deleted.title, deleted.body, deleted.url) == ("author", "", "", "")
    assert (kept.state, kept.title) == ("live", title)


@pytest.mark.slow
def test_a_sweep_that_meets_a_bad_item_ends_partial_and_names_it(reddit, monkeypatch):
    monkeypatch.setattr(prawcore.sessions.FiniteRetryStrategy, "_sleep_seconds", lambda self: None)
    ran("scrape_now", params={"config": factories.bot_config(subreddits=["python"], post_limit=5).pk})
    bad = RedditPost.objects.first()
    reddit.faults.add(rf"/api/info.*{bad.fullname}(%2C|&|,|$)", status=500, times=None)

    run = ran("refresh_stored_content")

    assert run.status == JobRun.Status.PARTIAL
    assert f"Reddit fails whenever {bad.fullname} is asked for" in run.message
    assert run.counts["failing"] == 1
    assert run.counts["checked"] == RedditPost.objects.count() + RedditComment.objects.count()
    line = RunLogLine.objects.get(run=run, text__contains="items asked for")
    assert "0 tombstones" in line.text


def test_a_sweep_that_is_handed_back_has_done_something(reddit, monkeypatch):
    def interrupted(progress, *, max_requests, counts, run_id):
        counts["checked"] += 100
        raise OutOfBudget(60)

    monkeypatch.setattr(job_list, "refresh", interrupted)

    run = ran("refresh_stored_content")

    assert (run.status, run.counts) == (JobRun.Status.INTERRUPTED, {"checked": 100})


@pytest.mark.slow
def test_a_sweep_that_does_not_keep_up_ends_partial_and_says_by_how_much(reddit, settings, monkeypatch):
    ran("scrape_now", params={"config": factories.bot_config(subreddits=["python"], post_limit=5).pk})
    assert RedditPost.objects.count() + RedditComment.objects.count() <= 100
    RedditPost.objects.update(checked_at=None)
    monkeypatch.setattr(job_list, "COMPLIANCE_REQUESTS", 0)  # as if there were far more items to verify

    run = ran("refresh_stored_content")

    assert run.status == JobRun.Status.PARTIAL
    assert "of the stored items were verified in the last 48 h, the target is 95 %" in run.message
    assert [line.level for line in RunLogLine.objects.filter(run=run, text=run.message)] == ["warning"]
    monkeypatch.setattr(job_list, "COMPLIANCE_REQUESTS", 20)
    assert ran("refresh_stored_content").status == JobRun.Status.SUCCEEDED
