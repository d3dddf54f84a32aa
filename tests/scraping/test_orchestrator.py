"""Scrapes through real PRAW over a real socket, down to the rows."""

import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from maintenance.models import JobRun
from scraping.compliance.sweep import refresh_stored_content
from scraping.content.storage import store_comments
from scraping.models import BotConfig, ErrorKind, RedditComment, RedditPost, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions import comments, subreddit
from scraping.sessions import scrape as scrape_module
from scraping.sessions.abandoned import close_abandoned_sessions
from scraping.sessions.scrape import AlreadyScraping, ConfigInactive, ScrapeRefused, scrape_config
from tests.scraping.factories import make_config, make_post, make_session, raw_comment, raw_post
from tests.scraping.reddit_replay import TOKEN_PATH, Answer, RedditReplay, listing, thing

pytestmark = pytest.mark.django_db

Status = ScrapeSession.Status


class Stop(BaseException):
    """What a worker that must stop raises."""


class Recorder(SilentProgress):
    """Keeps what it hears, and stops at a checkpoint."""

    def __init__(self, stop_at: int = 0) -> None:
        self.lines: list[tuple[str, str]] = []
        self.reports: list[tuple[int, int | None, str]] = []
        self.checkpoints = 0
        self._stop_at = stop_at

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        self.reports.append((done, total, stage))

    def log(self, text: str, level: str = "info") -> None:
        self.lines.append((level, text))

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.checkpoints == self._stop_at:
            raise Stop


def scrape(config: BotConfig, progress: Recorder | None = None, run: JobRun | None = None) -> ScrapeSession:
    return scrape_config(
        config,
        run_id=run.pk if run else None,
        kind=ScrapeSession.Kind.MANUAL,
        progress=progress or Recorder(),
    )


def make_run(status: str = "running") -> JobRun:
    now = timezone.now()
    times = {"started_at": now, "heartbeat_at": now, "worker": "w"}
    return JobRun.objects.create(
        job="auto_scraping",
        trigger="admin",
        status=status,
        finished_at=None if status == "running" else now,
        **times,
    )


# --- What a scrape stores -----------------------------------------------------------------------


def test_a_scrape_stores_posts_and_comments(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=2), raw_post()]
    reddit.add_posts("python", posts)
    comment = raw_comment(posts[0])
    reddit.add_tree(posts[0], [comment, raw_comment(posts[0], parent_id=comment["name"])])
    run = make_run()
    session = scrape(make_config(comment_policy="first_page"), run=run)
    assert (session.status, session.error, session.error_kind) == (Status.SUCCEEDED, "", "")
    assert (session.posts_found, session.posts_new, session.comments_found, session.comments_new) == (
        2,
        2,
        2,
        2,
    )
    assert session.requests_used == 3  # sign-in, listing, one tree
    assert session.run == run
    assert session.finished_at is not None
    assert RedditPost.objects.get(fullname=posts[0]["name"]).comments_fetched == 2
    assert sorted(RedditComment.objects.values_list("depth", flat=True)) == [0, 1]
    assert set(RedditPost.objects.values_list("session_id", flat=True)) == {session.pk}


def test_a_second_scrape_finds_everything_known(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=1)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post)])
    config = make_config(comment_policy="complete")
    first = scrape(config)
    reddit.posts["python"] = [raw_post(), post | {"score": 50}]
    second = scrape(config)
    assert (second.posts_found, second.posts_new, second.comments_found, second.comments_new) == (2, 1, 0, 0)
    assert second.totals["python"]["posts_changed"] == 1
    known = RedditPost.objects.get(fullname=post["name"])
    assert (known.session, known.score) == (first, 50)


def test_the_limit_counts_posts_of_each_subreddit(reddit: RedditReplay) -> None:
    for name in ("python", "golang"):
        reddit.add_posts(name, [raw_post(subreddit=name) for _ in range(250)])
    session = scrape(make_config(subreddits=["python", "golang"], post_limit=120))
    assert session.posts_found == 240
    assert {name: total["posts_new"] for name, total in session.totals.items()} == {
        "python": 120,
        "golang": 120,
    }


def test_no_comments_are_asked_for_where_none_are_wanted_or_there(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post(num_comments=5)])
    reddit.add_posts("golang", [raw_post(num_comments=0)])
    scrape(make_config(comment_policy="none"))
    scrape(make_config(comment_policy="complete", subreddits=["golang"]))
    assert reddit.asked(path="/comments/") == []


def test_the_policy_and_its_limits_reach_reddit(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=500)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post) for _ in range(500)], first=50)
    first_page = scrape(make_config(comment_policy="first_page", comment_limit=300))
    assert first_page.comments_found == 50
    complete = scrape(make_config(comment_policy="complete", comment_limit=300))
    assert complete.comments_found == 300
    assert RedditPost.objects.get().comments_fetched == RedditComment.objects.count() == 300
    post["num_comments"] += 1
    again = scrape(make_config(comment_policy="first_page", comment_limit=10))
    assert again.comments_found == 10
    assert RedditPost.objects.get().comments_fetched == 300


def test_the_stickied_posts_of_hot_are_stored_as_well(reddit: RedditReplay) -> None:
    posts = [raw_post(stickied=n < 2) for n in range(7)]
    reddit.answers["/r/python/hot"] = [Answer.of(listing(map(thing, posts)))]
    assert scrape(make_config(sort="hot", post_limit=5)).posts_found == 7


def test_skipped_items_are_counted_by_reason_and_named_in_few_lines(reddit: RedditReplay) -> None:
    bad = [raw_post(name=None) for _ in range(3)] + [raw_post(created_utc=n) for n in ("a", "b")]
    children = [None, *({"kind": "t3", "data": p} for p in [*bad, raw_post()])]
    pages = [Answer.of(listing(children, after=f"t3_{n}")) for n in range(29)]
    reddit.answers["/r/python/new"] = [*pages, Answer.of(listing([]))]
    progress = Recorder()
    session = scrape(make_config(post_limit=1000), progress)
    assert (session.status, session.posts_found) == (Status.SUCCEEDED, 3)
    assert session.items_skipped == sum(session.totals["python"]["skipped"].values()) >= 29
    # The 29 pages are the same: what has a name is seen once.
    assert session.totals["python"]["skipped"] == {
        "no item": 29,
        "no name": 87,
    }
    assert session.totals["python"]["odd_fields"] == {"created_utc is no time": 2}
    warnings = [text for level, text in progress.lines if level == "warning"]
    assert len(warnings) == scrape_module.SKIP_LINES_MAX + 1
    assert str(session.items_skipped) in warnings[-1]


def test_the_oddest_posts_and_comments_of_all_arrive(reddit: RedditReplay) -> None:
    odd = "a\x00b\ud800c \U0001f600\r\x07"  # over the wire as JSON escapes
    post = raw_post(
        title=odd,
        selftext="x" * 78_000,
        url="https://a.b/" + "y" * 23_000,
        author=None,
        edited=True,
        num_comments=3,
    )
    reddit.add_posts("python", [post, raw_post(name=None), raw_post(score=-(10**12))])
    top = raw_comment(post, body=odd, author=None, edited=True, replies=None, score=-4495)
    nameless = raw_comment(post, name=None)
    more = {"kind": "more", "data": {"id": "z", "parent_id": top["name"], "count": 0, "children": ["z"]}}
    children = [thing(top), {"kind": "t1", "data": nameless}, {"kind": "t1"}, more]
    reddit.add_tree(post, [raw_comment(post, id="z", parent_id=top["name"])])
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([thing(post)]), listing(children)])]
    session = scrape(make_config(comment_policy="complete"))
    assert (session.status, session.error) == (Status.SUCCEEDED, "")
    assert (session.posts_found, session.comments_found, session.items_skipped) == (2, 2, 3)
    assert session.totals["python"]["skipped"] == {"no name": 2, "no item": 1}
    stored = RedditPost.objects.get(fullname=post["name"])
    assert (stored.title, len(stored.body), len(stored.url)) == ("abc \U0001f600\r\x07", 78_000, 23_012)
    assert (stored.author, stored.is_author_deleted, stored.is_edited, stored.edited_at) == (
        "",
        True,
        True,
        None,
    )
    comment = stored.comments.get(fullname=top["name"])
    assert (comment.body, comment.is_author_deleted, comment.score) == ("abc \U0001f600\r\x07", True, -4495)
    assert stored.comments.get(fullname="t1_z").depth == 1


@pytest.mark.parametrize("reason", ["\x00", "\ud800", "%s %(path)s"])
def test_an_error_that_quotes_the_unstorable_is_stored(reddit: RedditReplay, reason: str) -> None:
    reddit.add_posts("golang", [raw_post()])
    body = {"reason": f"a{reason}b", "explanation": reason, "kind": reason}
    for status in (400, 403, 418):
        answer = Answer.of(body)
        answer.status = status
        reddit.answers["/r/python/new"] = [answer]
        session = scrape(make_config(subreddits=["python", "golang"]))
        assert session.status == Status.PARTIAL
    reddit.answers["/r/python/new"] = [Answer.of(listing([{"kind": reason, "data": {}}]))]
    session = scrape(make_config(subreddits=["python", "golang"]))
    assert session.totals["python"]["skipped"] == {"no item": 1}


def test_progress_tells_how_far_and_what(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=1)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post)])
    progress = Recorder()
    scrape(make_config(comment_policy="first_page", post_limit=50), progress)
    assert progress.reports[0] == (0, 51, "r/python: posts")
    assert progress.reports[-1] == (3, 3, "finished")  # a post, its comments, a subreddit
    assert ("info", "r/python: 1 posts (1 new), 1 comments.") in progress.lines


# --- Gaps and suspicions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("posts", "limit", "sort", "before", "gap"),
    [
        (1100, 1000, "new", "", True),
        (1100, 1000, "new", "stranger", True),
        (1100, 1000, "new", "listed", False),
        (1100, 999, "new", "stranger", True),
        (1100, 200, "new", "stranger", False),
        (950, 1000, "new", "stranger", True),
        (950, 1000, "new", "", False),
        (1100, 1000, "top", "stranger", False),
    ],
)
def test_a_gap_is_the_cap_without_a_known_post(
    reddit: RedditReplay, posts: int, limit: int, sort: str, before: str, gap: bool
) -> None:
    reddit.add_posts("python", [raw_post() for _ in range(posts)])
    if before:
        fullname = reddit.posts["python"][800]["name"] if before == "listed" else "t3_old"
        make_post(fullname=fullname, subreddit="Python", first_seen_at=timezone.now() - timedelta(days=1))
    session = scrape(make_config(post_limit=limit, sort=sort))
    assert (session.status, session.has_gap) == (Status.SUCCEEDED, gap)


def test_no_posts_of_a_subreddit_that_had_some_is_suspect(reddit: RedditReplay) -> None:
    reddit.posts["python"] = []
    assert scrape(make_config()).status == Status.SUCCEEDED
    make_post(subreddit="Python", first_seen_at=timezone.now() - timedelta(days=1))
    session = scrape(make_config())
    assert (session.status, session.error_kind) == (Status.FAILED, ErrorKind.BAD_ANSWER)
    assert "lists no posts" in session.error


# --- What fails ---------------------------------------------------------------------------------


def test_one_failing_subreddit_makes_the_session_partial(reddit: RedditReplay) -> None:
    for name in ("python", "golang"):
        reddit.add_posts(name, [raw_post()])
    reddit.answers["/r/secret/new"] = [Answer(403, {}, b'{"reason": "private"}')]
    session = scrape(make_config(subreddits=["python", "secret", "golang"]))
    assert (session.status, session.error_kind, session.posts_found) == (Status.PARTIAL, ErrorKind.PRIVATE, 2)
    assert session.error == f"r/secret: {session.totals['secret']['error']}"
    assert session.totals["golang"]["error_kind"] == ""


def test_all_failing_is_failed_and_names_each(reddit: RedditReplay) -> None:
    reddit.answers["/r/secret/new"] = [Answer(403, {}, b'{"reason": "private"}')]
    session = scrape(make_config(subreddits=["secret", "nowhere"]))
    assert (session.status, session.error_kind) == (Status.FAILED, ErrorKind.PRIVATE)
    assert session.totals["nowhere"]["error_kind"] == ErrorKind.NOT_FOUND
    assert [line.split(":")[0] for line in session.error.splitlines()] == ["r/secret", "r/nowhere"]


def test_a_listing_that_breaks_off_keeps_its_pages(reddit: RedditReplay) -> None:
    page = [raw_post() for _ in range(3)]
    reddit.answers["/r/python/new"] = [
        Answer.of(listing(map(thing, page), after=page[-1]["name"])),
        Answer(500),
    ]
    session = scrape(make_config())
    assert (session.status, session.error_kind) == (Status.PARTIAL, ErrorKind.SERVER_ERROR)
    assert session.posts_found == RedditPost.objects.count() == 3


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        (TOKEN_PATH, 401, "unauthorized"),
        ("/r/python/new", 401, "unauthorized"),
    ],
)
def test_what_every_request_would_meet_stops_the_scrape_early(
    reddit: RedditReplay, path: str, status: int, kind: str
) -> None:
    reddit.add_posts("golang", [raw_post()])
    reddit.answers[path] = [Answer(status)]
    session = scrape(make_config(subreddits=["python", "golang", "rust"]))
    assert (session.status, session.error_kind) == (Status.FAILED, kind)
    assert {total["error_kind"] for total in session.totals.values()} == {kind}
    assert reddit.asked(path="golang") == []


def test_without_a_reddit_app_the_session_says_what_to_set(settings: Settings) -> None:
    settings.REDDIT_CLIENT_ID = ""
    session = scrape(make_config())
    assert (session.status, session.error_kind) == (Status.FAILED, ErrorKind.NOT_CONFIGURED)
    assert "REDDIT_CLIENT_ID" in session.error


def test_one_post_whose_comments_fail_spares_the_others(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=1) for _ in range(4)]
    reddit.add_posts("python", posts)
    for post in posts[1:]:
        reddit.add_tree(post, [raw_comment(post)])
    session = scrape(make_config(comment_policy="first_page"))
    assert (session.status, session.error_kind) == (Status.PARTIAL, ErrorKind.NOT_FOUND)
    assert session.comments_found == 3


def test_a_subreddit_is_given_up_after_three_failures_in_a_row(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post(num_comments=1) for _ in range(10)])
    session = scrape(make_config(comment_policy="first_page"))
    assert (session.status, session.posts_found) == (Status.PARTIAL, 10)
    assert len(reddit.asked(path="/comments/")) == 3


def test_a_fault_of_ours_ends_in_the_session_and_in_the_log(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reddit.add_posts("python", [raw_post()])

    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(subreddit, "store_posts", broken)
    with caplog.at_level(logging.ERROR, logger="scraping.sessions.scrape"):
        session = scrape(make_config())
    assert (session.status, session.error_kind) == (Status.FAILED, ErrorKind.INTERNAL)
    assert "ZeroDivisionError: ours" in session.error
    assert "Traceback" in caplog.text


def test_a_config_whose_subreddits_were_broken_by_hand_is_refused_by_the_session(
    reddit: RedditReplay,
) -> None:
    session = scrape(make_config(subreddits=[]))
    assert (session.status, session.error_kind) == (Status.FAILED, ErrorKind.BAD_REQUEST)
    assert "at least one subreddit" in session.error


@pytest.mark.django_db(transaction=True)  # the foreign key is checked when the page's transaction commits
def test_a_post_purged_while_its_comments_are_fetched_is_passed_over(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [raw_post(num_comments=1) for _ in range(2)]
    reddit.add_posts("python", posts)
    for post in posts:
        reddit.add_tree(post, [raw_comment(post)])
    gone = RedditPost.objects.filter(fullname=posts[0]["name"])

    def purge_then_store(post: RedditPost, *args: Any, **kwargs: Any) -> Any:
        if post.fullname == posts[0]["name"]:
            gone.delete()
        return store_comments(post, *args, **kwargs)

    monkeypatch.setattr(comments, "store_comments", purge_then_store)
    session = scrape(make_config(comment_policy="first_page"))
    assert (session.status, session.comments_found) == (Status.SUCCEEDED, 1)
    assert [c.post.fullname for c in RedditComment.objects.all()] == [posts[1]["name"]]


# What comes between an answer and its storing, of posts and of comments.
@pytest.mark.parametrize("step", ["keep_wanted", "_above"])
def test_what_was_deleted_while_its_page_was_under_way_does_not_come_back(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    deleted, kept = raw_post(title="Deleted", num_comments=1), raw_post(title="Kept", num_comments=1)
    reddit.add_posts("python", [deleted, kept])
    comment = raw_comment(deleted)
    reddit.add_tree(deleted, [comment])
    reddit.add_tree(kept, [raw_comment(kept)])
    config = make_config(comment_policy="first_page", comment_min_score=-9)
    scrape(config)
    RedditPost.objects.update(walk=None)  # the comments are asked for again
    module = subreddit if hasattr(subreddit, step) else comments
    take_step = getattr(module, step)

    def sweep_first(*args: Any) -> Any:
        monkeypatch.setattr(module, step, take_step)
        reddit.known[deleted["name"]] = deleted | {"removed_by_category": "deleted"}
        reddit.known[comment["name"]] = comment | {"body": "[deleted]", "author": "[deleted]"}
        assert refresh_stored_content(SilentProgress())["deleted"] == 2
        return take_step(*args)

    monkeypatch.setattr(module, step, sweep_first)
    scrape(config)
    if step == "keep_wanted":
        assert RedditPost.objects.get(fullname=deleted["name"]).title == ""
    else:
        assert RedditComment.objects.get(fullname=comment["name"]).body == ""
    assert RedditPost.objects.get(fullname=kept["name"]).title == "Kept"
    assert RedditComment.objects.get(post__fullname=kept["name"]).body == "A comment"


@pytest.mark.parametrize("wanted", [{"pattern_wanted": "wanted"}, {"sort": "hot"}])
def test_young_posts_that_a_bot_would_not_store_cost_it_nothing(
    reddit: RedditReplay, wanted: dict[str, Any]
) -> None:
    now = timezone.now().timestamp()
    posts = [
        raw_post(created_utc=now - n, num_comments=1, title=f"wanted {n}" if n < 2 else "x") for n in range(9)
    ]
    for post in posts:
        reddit.add_tree(post, [raw_comment(post)])
    reddit.add_posts("python", posts)
    scrape(make_config())
    reddit.posts["python"] = posts[:1]
    chosen = make_config(comment_policy="first_page", comment_refresh_hours=24, post_limit=100, **wanted)
    scrape(chosen)
    assert {c.post.title for c in RedditComment.objects.all()} <= {"wanted 0", "wanted 1"}


# --- One at a time, and stopping ----------------------------------------------------------------


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
    running = make_session(config, run=make_run())
    with pytest.raises(AlreadyScraping, match="wait for that scrape"):
        scrape(config)
    assert list(ScrapeSession.objects.all()) == [running]
    assert reddit.requests == []
    reddit.add_posts("python", [raw_post()])
    assert scrape(make_config()).status == Status.SUCCEEDED


def test_the_session_of_a_dead_run_is_closed_and_stands_in_nobodys_way(reddit: RedditReplay) -> None:
    reddit.add_posts("python", [raw_post()])
    config = make_config()
    dead = make_session(config, run=make_run("interrupted"))
    assert scrape(config, run=make_run()).status == Status.SUCCEEDED
    dead.refresh_from_db()
    assert (dead.status, dead.error) == (
        Status.INTERRUPTED,
        "Its run ended before it did; what it had found is stored.",
    )


def test_only_abandoned_sessions_are_closed() -> None:
    alive = make_session(make_config(), run=make_run())
    lost = [make_session(make_config(), run=make_run("failed")), make_session(make_config())]
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


# --- Memory -------------------------------------------------------------------------------------

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
