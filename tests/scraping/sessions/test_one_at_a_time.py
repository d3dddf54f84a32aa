"""One scrape at a time of each bot; stops, lost workers; memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from scraping.models import BotConfig, RedditPost, ScrapeSession
from scraping.sessions.abandoned import close_abandoned_sessions
from scraping.sessions.scrape import AlreadyScraping, ConfigInactive, ScrapeRefused
from tests.kit import factories
from tests.kit.progress import Recorder, Stop
from tests.kit.scraped import make_config, make_session, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import RedditReplay

pytestmark = pytest.mark.django_db

Status = ScrapeSession.Status


# --- One at a time, and stopping --------------------------------------------------------------------


def test_an_inactive_or_deleted_config_is_refused(reddit: RedditReplay) -> None:
    config = make_config()
    BotConfig.objects.update(is_active=False)  # behind the back of the caller's object
    with pytest.raises(ConfigInactive, match="activate it"):
        scrape(config)
    BotConfig.objects.all().delete()
    with pytest.raises(ConfigInactive, match="no longer exists"):
        scrape(config)
    assert issubclass(ConfigInactive, ScrapeRefused)
    assert not ScrapeSession.objects.exists()
    assert reddit.requests == []


def test_a_config_is_scraped_by_one_at_a_time(reddit: RedditReplay) -> None:
    config = make_config()
    running = make_session(config, run=factories.job_run(status="running"))
    with pytest.raises(AlreadyScraping, match="wait for that scrape"):
        scrape(config)
    assert list(ScrapeSession.objects.all()) == [running]
    assert reddit.requests == []
    reddit.add_posts("python", [raw_post()])
    assert scrape(make_config()).status == Status.SUCCEEDED


def test_the_session_of_a_dead_run_is_closed_and_blocks_no_scrape(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post()])
    config = make_config()
    dead = make_session(config, run=factories.job_run(status="interrupted"))
    assert scrape(config, run=factories.job_run(status="running")).status == Status.SUCCEEDED
    dead.refresh_from_db()
    assert (dead.status, dead.error) == (
        Status.INTERRUPTED,
        "The run ended before the session did; everything found until then is stored.",
    )


def test_only_abandoned_sessions_are_closed() -> None:
    alive = make_session(make_config(), run=factories.job_run(status="running"))
    lost = [make_session(make_config(), run=factories.job_run(status="failed")), make_session(make_config())]
    done = make_session(make_config())
    done.close(Status.SUCCEEDED)
    assert close_abandoned_sessions() == len(lost)
    assert close_abandoned_sessions() == 0
    assert list(ScrapeSession.objects.running()) == [alive]
    done.refresh_from_db()
    assert done.status == Status.SUCCEEDED


def test_a_stop_keeps_the_pages_and_closes_the_session(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(300)])
    config = make_config(post_limit=300)
    with pytest.raises(Stop):
        scrape(config, Recorder(stop_at=3))
    session = ScrapeSession.objects.get()
    assert session.status == Status.INTERRUPTED
    assert session.posts_found == RedditPost.objects.count() == 200
    assert scrape(config).posts_new == 100


def test_a_session_closed_by_somebody_else_is_not_written_any_more(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(300)])

    class Meddler(Recorder):
        def checkpoint(self) -> None:
            if self.checkpoints == 1:
                close_abandoned_sessions()
            super().checkpoint()

    session = scrape(make_config(post_limit=300), Meddler())
    assert (session.status, session.posts_found) == (Status.INTERRUPTED, 100)


# --- Memory -----------------------------------------------------------------------------------------

BIG_SCRAPE = """
import django
django.setup()
from scraping.models import BotConfig, ScrapeSession
from scraping.sessions.scrape import scrape_config
from scraping.progress import SilentProgress
session = scrape_config(BotConfig.objects.get(), run_id=None, kind="manual", progress=SilentProgress())
# Not ru_maxrss: that counts the parent process before exec too.
kib = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(session.status, session.posts_found, session.comments_found, int(kib) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak memory from /proc")
@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_thousand_posts_with_twenty_thousand_comments_fit_in_150_mb(
    reddit: RedditReplay, settings: Settings
) -> None:
    posts = [raw_post(num_comments=20, selftext="x" * 1000) for _ in range(999)]
    posts.append(raw_post(num_comments=20))
    reddit.add_posts("python", posts)
    for post in posts:
        reddit.add_tree(post, [raw_comment(post, body="y" * 300) for _ in range(20)])
    make_config(post_limit=1000, comment_policy="complete")
    database = settings.DATABASES["default"]
    name = database["NAME"]
    address = (
        f"sqlite:///{name}"
        if "sqlite" in database["ENGINE"]
        else f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{name}"
    )
    environment = os.environ | {
        "DATABASE_URL": address,
        "REDDIT_URL": reddit.url,
        "REDDIT_OAUTH_URL": reddit.url,
        "REDDIT_CLIENT_ID": "replayed",
        "REDDIT_CLIENT_SECRET": "secret",
        "LOG_LEVEL": "WARNING",
    }
    done = subprocess.run(
        [sys.executable, "-c", BIG_SCRAPE],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    status, found, comments, megabytes = done.stdout.split()
    assert (status, found, comments) == ("succeeded", "1000", "20000")
    assert int(megabytes) < 150
