"""Each job's effect, each with a survivor; and what must hold for all jobs."""

import dataclasses
import inspect
from datetime import timedelta

import prawcore.sessions
import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.models import PasswordResetToken, RefreshToken
from audit import triggers
from audit.models import Event
from console.celery import app
from maintenance import jobs as job_list
from maintenance import registry, retention
from maintenance.ledger import performing, requests
from maintenance.models import JobRun, RetentionPolicy, RunLogLine
from maintenance.purging.days import Retention
from maintenance.registry import InvalidParams, jobs
from maintenance.scheduling import schedules, seeding
from maintenance.scheduling.firetimes import Crontab
from scraping.models import BotConfig, RedditComment, RedditPost, RequestBudget, ScrapeSession
from scraping.reddit.budget import Allowance, RateHeaders
from scraping.reddit.errors import OutOfBudget
from scraping.sandbox import SandboxReddit
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
SLUGS = [job.slug for job in jobs()]
SCHEDULED = {
    "cleanup_tokens": "0 * * * *",
    "cleanup_sessions": "0 2 * * *",
    "purge_old_content": "30 2 * * 0",
    "auto_scraping": "0 0,6,12,18 * * *",
    "cleanup_run_history": "15 3 * * *",
    "cleanup_events": "5 4 * * *",
    "cleanup_login_sessions": "45 3 * * *",
    "refresh_stored_content": "*/20 * * * *",
}


def perform(slug, **options):
    run = requests.request_run(job=slug, trigger="command", send=False, **options)
    performing.perform(run)
    run.refresh_from_db()
    return run


@pytest.fixture
def reddit(settings):
    """A synthetic Reddit that the environment's app points to."""
    with SandboxReddit(rate_limit=1_000_000) as server:
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_USER_AGENT = "tests:sandbox:1 (by /u/tests)"
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = server.url
        yield server


# --- What holds for every job ----------------------------------------------------------------


def test_these_are_the_jobs_and_their_defaults():
    # At least these: a new job is no change of the contract.
    assert SCHEDULED.items() <= {job.slug: job.crontab for job in jobs()}.items()
    assert {"cleanup_sessions": 30, "purge_old_content": 90, "cleanup_run_history": 180}.items() <= {
        job.slug: job.retention_days for job in jobs()
    }.items()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_job_is_whole(slug):
    job = requests.get_job(slug)

    assert job.english_summary.endswith(".")
    assert getattr(job_list, slug) is job.function
    assert job.task_name == f"maintenance.{slug}"
    app.loader.import_default_modules()  # what a worker does at its start
    assert job.task_name in app.tasks
    assert slug in get_commands()
    assert load_command_class("maintenance", slug).job == slug
    if job.crontab:
        Crontab.parse(job.crontab).validate()
        assert str(schedules.crontab_of(schedules.for_job(slug))) == job.crontab


@pytest.mark.parametrize("slug", SLUGS)
def test_a_job_is_refused_to_who_may_not_run_it(slug):
    config = factories.bot_config()
    job = requests.get_job(slug)
    params = {"config": config.pk} if "config" in job.params else {}

    assert not job.may_run(factories.user(), params)
    assert job.may_run(factories.superuser(), params)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_dry_run_changes_nothing(slug, reddit):
    config = factories.bot_config()
    old = timezone.now() - timedelta(days=400)
    factories.comment(post=factories.post(created_at=old))
    factories.session(status="succeeded", finished_at=old)
    factories.expired_refresh_token()
    factories.login_session(expire_date=old)
    before = contents()

    run = perform(slug, dry_run=True, params={"config": config.pk} if slug == "scrape_now" else None)

    assert run.status == JobRun.Status.SUCCEEDED
    assert contents() == before


def contents():
    """All rows of all tables but the ledger's; that the run was asked for is an event."""
    rows = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if not table.startswith(("maintenance_", "audit_event")):
                cursor.execute(f'SELECT * FROM "{table}"')
                rows[table] = sorted(map(repr, cursor.fetchall()))
    return rows


# --- What each job does ----------------------------------------------------------------------


def test_cleanup_tokens_deletes_dead_tokens_and_keeps_live_ones():
    live = factories.refresh_token(), factories.password_reset_token()
    factories.expired_refresh_token()
    factories.refresh_token(revoked_at=timezone.now())
    factories.expired_password_reset_token()
    factories.password_reset_token(used_at=timezone.now())

    run = perform("cleanup_tokens")

    assert (list(RefreshToken.objects.all()), list(PasswordResetToken.objects.all())) == (
        [live[0]],
        [live[1]],
    )
    assert run.counts == {"accounts.RefreshToken": 2, "accounts.PasswordResetToken": 2}


def test_cleanup_sessions_keeps_running_and_recent_sessions_and_all_content():
    now = timezone.now()
    old = factories.session(status="succeeded", finished_at=now - timedelta(days=31))
    recent = factories.session(status="succeeded", finished_at=now - timedelta(days=29))
    running = factories.session(status="running", started_at=now - timedelta(days=99))
    post = factories.post(session=old)

    run = perform("cleanup_sessions")

    assert set(ScrapeSession.objects.all()) == {recent, running}
    assert RedditPost.objects.filter(pk=post.pk).exists()
    assert run.counts == {"scraping.ScrapeSession": 1}


def test_purge_old_content_deletes_by_age_and_leaves_newer_subreddits_alone():
    now = timezone.now()
    factories.comment(post=factories.post(subreddit="old", created_at=now - timedelta(days=91)))
    kept = factories.comment(post=factories.post(subreddit="new", created_at=now - timedelta(days=89)))

    run = perform("purge_old_content")

    assert list(RedditComment.objects.all()) == [kept]
    assert list(RedditPost.objects.all()) == [kept.post]
    assert run.counts == {"scraping.RedditPost": 1, "scraping.RedditComment": 1}


def test_purge_old_content_keeps_as_many_days_as_it_is_told():
    now = timezone.now()
    kept = factories.post(created_at=now - timedelta(days=4))
    factories.post(created_at=now - timedelta(days=6))

    perform("purge_old_content", params={"days": 5})

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
        aged(399, subreddit="Memes", config=archive),  # the longer of two
        aged(9, subreddit="Memes"),
    }
    aged(91, subreddit="django")
    aged(401, subreddit="PYTHON")
    aged(401, subreddit="rust", config=archive)
    aged(11, subreddit="Memes")

    run = perform("purge_old_content")

    assert set(RedditPost.objects.all()) == kept
    assert run.counts["scraping.RedditPost"] == 4


def test_purge_old_content_heeds_the_overrides_of_a_run_that_is_given_other_days():
    now = timezone.now()
    factories.retention_override(subreddit="python", days=400)
    kept = factories.post(created_at=now - timedelta(days=100), subreddit="python")
    factories.post(created_at=now - timedelta(days=100), subreddit="django")

    perform("purge_old_content", params={"days": 50})

    assert list(RedditPost.objects.all()) == [kept]


def test_cleanup_run_history_keeps_the_newest_hundred_of_each_job_and_open_runs():
    long_ago = timezone.now() - timedelta(days=200)
    runs_of_one = [
        factories.job_run(status="succeeded", job="cleanup_tokens", finished_at=long_ago) for _ in range(103)
    ]
    lonely = factories.job_run(status="succeeded", job="cleanup_sessions", finished_at=long_ago)
    waiting = factories.job_run(status="queued", job="cleanup_tokens", queued_at=long_ago)
    factories.log_line(run=runs_of_one[0])
    kept_line = factories.log_line(run=runs_of_one[-1])

    run = perform("cleanup_run_history")

    left = set(JobRun.objects.exclude(pk=run.pk))
    assert left == {
        *runs_of_one[4:],
        lonely,
        waiting,
    }  # 99 finished ones and the waiting one are the newest 100
    assert list(RunLogLine.objects.exclude(run=run)) == [kept_line]


def test_cleanup_events_deletes_what_is_older_than_its_retention():
    triggers.install(Event, connection)
    now = timezone.now()
    old = factories.event(at=now - timedelta(days=730, minutes=1))
    kept = factories.event(at=now - timedelta(days=730) + timedelta(minutes=1))
    try:
        assert perform("cleanup_events").counts == {"audit.Event": 1}

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

    perform("cleanup_login_sessions")

    assert list(Session.objects.all()) == [good]


def test_auto_scraping_scrapes_what_is_switched_on_and_one_bad_bot_stops_nothing(reddit):
    good = factories.bot_config(subreddits=["python"], post_limit=5)
    bad = factories.bot_config(subreddits=["sandbox_private"], post_limit=5)
    also_good = factories.bot_config(subreddits=["django"], post_limit=5)
    manual = factories.bot_config(subreddits=["rust"], auto_scrape=False)
    inactive = factories.bot_config(subreddits=["golang"], is_active=False)

    run = perform("auto_scraping")

    assert (run.status, run.message) == (JobRun.Status.PARTIAL, "2 of 3 bots scraped")
    states = {s.config: (s.status, s.error_kind) for s in ScrapeSession.objects.filter(run=run)}
    assert states == {good: ("succeeded", ""), bad: ("failed", "private"), also_good: ("succeeded", "")}
    assert {post.subreddit for post in RedditPost.objects.all()} == {"python", "django"}
    assert not manual.sessions.exists()
    assert not inactive.sessions.exists()


def test_auto_scraping_says_plainly_that_no_bot_is_on():
    factories.bot_config(auto_scrape=False)

    run = perform("auto_scraping")

    assert run.status == JobRun.Status.SUCCEEDED
    assert "No bot is active" in run.message


def test_scrape_now_scrapes_one_bot(reddit):
    config = factories.bot_config(subreddits=["python"], post_limit=5)
    other = factories.bot_config(subreddits=["django"], post_limit=5)

    run = perform("scrape_now", params={"config": config.pk})

    assert run.status == JobRun.Status.SUCCEEDED
    assert run.counts["posts_found"] == RedditPost.objects.count() == 5
    assert not other.sessions.exists()


def test_scrape_now_is_skipped_while_the_bot_is_scraped_already(reddit):
    busy = factories.job_run(status="running", job="auto_scraping")
    session = factories.session(status="running", run=busy)

    run = perform("scrape_now", params={"config": session.config.pk})

    assert (run.status, run.reason) == (JobRun.Status.SKIPPED, "overlap")


def test_scrape_now_is_for_the_owner_and_superusers():
    config = factories.bot_config()
    may_run = requests.get_job("scrape_now").may_run

    assert may_run(config.owner, {"config": config.pk})
    assert may_run(factories.superuser(), {"config": config.pk})
    assert not may_run(factories.user(), {"config": config.pk})


def used_up(seconds=300):
    """Use up the requests of the environment's app."""
    allowance = Allowance("sandbox")
    allowance.note(RateHeaders(1000, 0, seconds))
    allowance.give_back()


def goes_on(run):
    """Perform the attempt that follows, as a worker does when its time has come."""
    JobRun.objects.filter(retry_of=run).update(not_before=timezone.now())
    RequestBudget.objects.all().delete()
    attempt = JobRun.objects.get(retry_of=run)
    performing.perform(attempt)
    attempt.refresh_from_db()
    return attempt


@pytest.mark.parametrize("slug", ["scrape_now", "auto_scraping", "refresh_stored_content"])
def test_a_job_whose_app_has_no_requests_left_goes_on_when_it_has(reddit, settings, slug):
    settings.COMPLIANCE_TARGET_PERCENT = 0  # Reddit does not know the post
    factories.post(checked_at=None)
    config = factories.bot_config(subreddits=["python"], post_limit=5)
    used_up()

    run = perform(slug, params={"config": config.pk} if slug == "scrape_now" else None)

    assert (run.status, run.reason) == (JobRun.Status.INTERRUPTED, "waits")
    assert 298 < (run.next_attempt.not_before - timezone.now()).total_seconds() < 302
    assert list(reddit.requests) == []
    assert goes_on(run).status == JobRun.Status.SUCCEEDED


def test_auto_scraping_goes_on_with_the_bots_that_wait_and_does_the_others_once(reddit):
    app = factories.reddit_app(client_id="sandbox", client_secret="sandbox")
    waiting = [factories.bot_config(subreddits=["python"], post_limit=5) for _ in range(2)]
    done = factories.bot_config(subreddits=["django"], post_limit=5, app=app)
    reddit.access.clients["other"] = "other"
    app.client_id = app.client_secret = "other"
    app.save()
    used_up()

    run = perform("auto_scraping")

    assert (run.status, run.cursor["finished"]) == (JobRun.Status.INTERRUPTED, [done.pk])
    assert run.message.startswith("1 of 3 bots scraped")
    last = goes_on(run)
    assert (last.status, last.message) == (JobRun.Status.SUCCEEDED, "3 of 3 bots scraped")
    assert done.sessions.count() == 1
    assert [config.sessions.latest("pk").status for config in waiting] == ["succeeded"] * 2


def test_auto_scraping_leaves_out_only_the_bots_whose_secret_is_lost(reddit, settings):
    settings.FIELD_ENCRYPTION_KEY = ["lost"]
    lost = factories.reddit_app(client_id="other", client_secret="s", name="lost app")
    settings.FIELD_ENCRYPTION_KEY = ["new"]
    left_out = factories.bot_config(name="left out", subreddits=["python"], post_limit=5, app=lost)
    scraped = factories.bot_config(subreddits=["django"], post_limit=5)

    run = perform("auto_scraping")

    assert (run.status, run.message) == (JobRun.Status.PARTIAL, "1 of 2 bots scraped")
    assert scraped.sessions.get().status == "succeeded"
    [line] = run.log_lines.filter(text__startswith="left out")
    assert "lost app" in line.text
    assert "FIELD_ENCRYPTION_KEY" in line.text
    left_out.refresh_from_db()
    assert left_out.is_active


def test_auto_scraping_works_at_several_bots_at_once(reddit):
    reddit.latency = 0.25
    configs = [
        factories.bot_config(subreddits=[name], post_limit=5) for name in ("python", "django", "rust", "go")
    ]

    run = perform("auto_scraping")

    assert run.status == JobRun.Status.SUCCEEDED
    sessions = list(ScrapeSession.objects.filter(run=run))
    assert len(sessions) == len(configs)
    assert max(s.started_at for s in sessions) < min(s.finished_at for s in sessions)
    assert run.counts["posts_found"] == RedditPost.objects.count() == 20


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


def test_the_next_scrape_does_not_undo_the_retention(reddit):
    factories.retention_override(
        policy=factories.retention_policy(job="purge_old_content", days=30), subreddit="tinyGARDENS", days=100
    )
    config = factories.bot_config(subreddits=["TinyGardens", "SlowCooking"], sort="top", time_filter="all")
    old = factories.post(created_at=timezone.now() - timedelta(days=101))
    assert perform("purge_old_content").status == JobRun.Status.SUCCEEDED
    assert not RedditPost.objects.filter(pk=old.pk).exists()

    scraped = perform("scrape_now", params={"config": config.pk})

    ages = {
        name: timezone.now() - RedditPost.objects.filter(subreddit=name).earliest("created_at").created_at
        for name in ("TinyGardens", "SlowCooking")
    }
    assert timedelta(days=30) < ages["TinyGardens"] <= timedelta(days=100)
    assert ages["SlowCooking"] <= timedelta(days=30)
    assert scraped.counts["items_skipped"] > 0
    assert perform("purge_old_content").counts["scraping.RedditPost"] == 0


def test_refresh_stored_content_blanks_what_was_deleted_and_keeps_the_rest(reddit):
    perform("scrape_now", params={"config": factories.bot_config(subreddits=["python"], post_limit=5).pk})
    deleted, kept = RedditPost.objects.filter(state="live").exclude(title="")[:2]
    reddit.world.change(deleted.fullname, "delete")

    run = perform("refresh_stored_content")

    deleted.refresh_from_db()
    title = kept.title
    kept.refresh_from_db()
    assert run.status == JobRun.Status.SUCCEEDED
    assert (deleted.state, deleted.title, deleted.body, deleted.url) == ("author", "", "", "")
    assert (kept.state, kept.title) == ("live", title)


def test_a_sweep_that_meets_a_bad_item_ends_partial_and_names_it(reddit, monkeypatch):
    monkeypatch.setattr(prawcore.sessions.FiniteRetryStrategy, "_sleep_seconds", lambda self: None)
    perform("scrape_now", params={"config": factories.bot_config(subreddits=["python"], post_limit=5).pk})
    bad = RedditPost.objects.first()
    reddit.faults.add(rf"/api/info.*{bad.fullname}(%2C|&|,|$)", status=500, times=None)

    run = perform("refresh_stored_content")

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

    run = perform("refresh_stored_content")

    assert (run.status, run.counts) == (JobRun.Status.INTERRUPTED, {"checked": 100})


def test_a_sweep_that_does_not_keep_up_ends_partial_and_says_by_how_much(reddit, settings, monkeypatch):
    perform("scrape_now", params={"config": factories.bot_config(subreddits=["python"], post_limit=5).pk})
    assert RedditPost.objects.count() + RedditComment.objects.count() <= 100
    RedditPost.objects.update(checked_at=None)
    monkeypatch.setattr(job_list, "COMPLIANCE_REQUESTS", 0)  # as if there were far more to do

    run = perform("refresh_stored_content")

    assert run.status == JobRun.Status.PARTIAL
    assert "of the stored items were verified in the last 48 h, the target is 95 %" in run.message
    assert [line.level for line in RunLogLine.objects.filter(run=run, text=run.message)] == ["warning"]
    monkeypatch.setattr(job_list, "COMPLIANCE_REQUESTS", 20)
    assert perform("refresh_stored_content").status == JobRun.Status.SUCCEEDED


def test_a_default_schedule_cannot_be_declared_for_a_job_that_requires_a_parameter():
    with pytest.raises(ValueError, match="requires config, which its default schedule would not give"):
        registry.job(crontab="0 0 * * *", params={"config": int}, concurrent_by="config")(lambda ctx: None)


def test_what_a_declaration_says_is_what_the_job_has(declare):
    """The list of options is written thrice in the registry: none may be lost on the way."""
    said = {
        "crontab": "1 2 * * *",
        "retention_days": 7,
        "floor_days": 5,
        "has_overrides": True,
        "has_live_threads": True,
        "authorize": lambda user, params: True,
        "authorize_many": lambda user, many: [],
        "shown_to": lambda user: Q(),
        "refers_to": {"config": BotConfig},
        "has_relative_caps": False,
        "share_cap_min_rows": 3,
        "time_limit": timedelta(seconds=9),
        "retries": (timedelta(seconds=1),),
        "keeps_its_place": True,
        "runs_at_first_start": True,
    }

    def tidy(ctx):
        """Tidy up."""

    made = registry.get_job(declare(tidy, **said))

    assert {name: getattr(made, name) for name in said} == said
    options = set(inspect.signature(registry.job).parameters)
    assert options == {*said, "params", "concurrent_by"}
    assert options == {field.name for field in dataclasses.fields(made)} - {"slug", "function"}
