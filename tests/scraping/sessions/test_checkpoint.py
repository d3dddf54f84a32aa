"""Sessions that are stopped, killed or out of budget are resumed where they were, and end in the right state."""

import os
import random
from datetime import timedelta
from typing import Any

import prawcore.sessions
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from scraping.content import storage
from scraping.models import RedditComment, RedditPost, RequestBudget, ScrapeSession
from scraping.reddit import budget
from scraping.sessions import comments, subreddit
from scraping.sessions.abandoned import close_abandoned_sessions
from scraping.sessions.checkpoint import HANDED_ON_MAX, RESUME_WITHIN
from scraping.sessions.scrape import ContinueLater
from tests.kit.progress import Recorder, Stop
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import TOKEN_PATH, Answer, Asked, RedditReplay

pytestmark = pytest.mark.django_db

Status = ScrapeSession.Status

# The long version: FAULT_SESSIONS=200.
FAULT_SESSIONS = int(os.environ.get("FAULT_SESSIONS", "24"))


def next_window() -> None:
    """Let Reddit's window end."""
    RequestBudget.objects.all().delete()


def limit_requests(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, per_window: int) -> None:
    """Let the server's rate headers give so many requests per window."""
    plain, count = RedditReplay._answer, [0]

    def counted(self: RedditReplay, asked: Asked) -> Answer:
        count[0] += 1
        used = (count[0] - 1) % per_window + 1
        answer = plain(self, asked)
        answer.headers |= {
            "x-ratelimit-used": str(used),
            "x-ratelimit-remaining": f"{per_window - used:.1f}",
            "x-ratelimit-reset": "400",
        }
        return answer

    monkeypatch.setattr(RedditReplay, "_answer", counted)
    monkeypatch.setattr("tests.scraping.reddit_replay.ROOMY", {})


def fill(reddit: RedditReplay, *, posts: int = 250, comments: int = 450) -> list[dict[str, Any]]:
    """Fill a subreddit; two of its posts have comments, behind "more" nodes and in deep threads."""
    listed = [raw_post(created_utc=1_700_000_000.0 - n) for n in range(posts)]
    reddit.add_posts("python", listed)
    for post in (listed[3], listed[-1]):
        post["num_comments"] = comments
        wide = [raw_comment(post) for _ in range(comments - 20)]
        deep: list[dict[str, Any]] = []
        for _ in range(20):
            deep.append(raw_comment(post, parent_id=(deep[-1] if deep else post)["name"]))
        reddit.add_tree(post, deep + wide, first=20, nested=8)
    return listed


def everything(reddit: RedditReplay) -> tuple[set[str], set[str]]:
    posts = {post["name"] for listed in reddit.posts.values() for post in listed}
    comments = {name for tree in reddit.trees.values() for name in tree.comments}
    return posts, comments


def stored() -> tuple[set[str], set[str]]:
    return (
        set(RedditPost.objects.values_list("fullname", flat=True)),
        set(RedditComment.objects.values_list("fullname", flat=True)),
    )


WHOLE: dict[str, Any] = {
    "post_limit": 1000, "comment_policy": "complete", "comment_limit": 10_000, "comment_depth": 100,
}  # fmt: skip


# --- Out of budget ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_scrape_out_of_requests_goes_on_in_the_next_window_and_repeats_nothing(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(reddit)
    scrape(make_config(**WHOLE))
    at_once = [(r.path, r.query.get("after"), r.form.get("children")) for r in reddit.asked()]
    RedditPost.objects.all().delete()
    reddit.requests.clear()
    next_window()

    limit_requests(reddit, monkeypatch, per_window=4)
    monkeypatch.setattr(budget, "COMPLIANCE_SHARE", 0.0)
    config, waits = make_config(**WHOLE), []
    while True:
        try:
            session = scrape(config)
            break
        except ContinueLater as later:
            session, seconds = later.session, (later.until - timezone.now()).total_seconds()
            waits.append(
                (session.status, session.error_kind, session.resume_at == later.until, round(seconds))
            )
            next_window()
    assert {wait[:3] for wait in waits} == {(Status.INTERRUPTED, "rate_limited", True)}
    assert all(399 <= wait[3] <= 401 for wait in waits)
    assert len(waits) == (len(at_once) - 1) // 4
    assert session.status == Status.SUCCEEDED
    assert stored() == everything(reddit)
    in_parts = [(r.path, r.query.get("after"), r.form.get("children")) for r in reddit.asked()]
    assert in_parts == at_once
    post = RedditPost.objects.get(fullname=reddit.posts["python"][3]["name"])
    assert (post.comments_fetched, post.comment_share) == (450, 100.0)


@pytest.mark.slow
def test_depths_survive_an_interruption(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    post = raw_post(num_comments=40)
    reddit.add_posts("python", [post])
    deep: list[dict[str, Any]] = []
    for _ in range(40):
        deep.append(raw_comment(post, parent_id=(deep[-1] if deep else post)["name"]))
    reddit.add_tree(post, deep, nested=6)
    limit_requests(reddit, monkeypatch, per_window=2)
    monkeypatch.setattr(budget, "COMPLIANCE_SHARE", 0.0)
    config = make_config(**WHOLE)
    for _ in range(20):
        try:
            scrape(config)
            break
        except ContinueLater:
            next_window()
    depths = dict(RedditComment.objects.values_list("fullname", "depth"))
    assert [depths[comment["name"]] for comment in deep] == list(range(40))


def test_a_scrape_that_is_continued_for_a_day_fails(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(reddit)
    limit_requests(reddit, monkeypatch, per_window=2)
    config = make_config(**WHOLE)
    with pytest.raises(ContinueLater):
        scrape(config)
    session = ScrapeSession.objects.get()
    session.checkpoint["since"] = (timezone.now() - HANDED_ON_MAX - timedelta(seconds=1)).isoformat()
    session.save()
    next_window()
    last = scrape(config)
    assert last.error_kind == "rate_limited"
    assert "are not enough for this bot" in last.error
    assert last.status in (Status.PARTIAL, Status.FAILED)
    # Comments not fetched are due for the next scrape; the listing is not resumed.
    assert last.checkpoint is None


# --- Stopped, killed, edited ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_scrape_stopped_again_and_again_ends_with_everything(reddit: RedditReplay, seed: int) -> None:
    listed = fill(reddit, comments=300)
    reddit.posts["golang"] = [raw_post(subreddit="golang") for _ in range(30)]
    config, draw = make_config(**WHOLE, subreddits=["python", "golang"]), random.Random(seed)
    stops = 0
    while True:
        try:
            session = scrape(config, Recorder(stop_at=draw.randint(2, 6)))
            break
        except Stop:
            stops += 1
            assert ScrapeSession.objects.latest("pk").status == Status.INTERRUPTED
    assert stops > 2
    assert session.status == Status.SUCCEEDED
    assert stored() == everything(reddit)
    assert RedditPost.objects.get(fullname=listed[3]["name"]).walk["left"] == 0
    # The same requests as without stops, because a stop happens between two pages.
    asked = [(r.path, r.query.get("after"), r.form.get("children")) for r in reddit.asked()]
    assert len(asked) == len(set(asked))


@pytest.mark.slow
def test_a_killed_worker_costs_its_page(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(reddit)
    config = make_config(**WHOLE)

    class Killed(BaseException):
        """The worker is killed: nothing is written afterwards."""

    real, calls = storage.store_posts, []

    def killed(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == 2:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(subreddit, "store_posts", killed)
    monkeypatch.setattr(ScrapeSession, "close", lambda self, *args, **kwargs: True)
    with pytest.raises(Killed):
        scrape(config)
    monkeypatch.undo()
    assert close_abandoned_sessions() == 1
    reddit.requests.clear()
    monkeypatch.setattr(prawcore.sessions.FiniteRetryStrategy, "_sleep_seconds", lambda self: None)
    session = scrape(config)
    assert (session.status, session.posts_new) == (Status.SUCCEEDED, 150)
    assert [r.query.get("after") for r in reddit.asked(path="/new")] == [
        reddit.posts["python"][n]["name"] for n in (99, 199)
    ]
    assert stored() == everything(reddit)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["edited", "old"])
def test_a_checkpoint_is_for_the_same_config_and_for_an_hour(reddit: RedditReplay, change: str) -> None:
    fill(reddit)
    config = make_config(**WHOLE)
    with pytest.raises(Stop):
        scrape(config, Recorder(stop_at=2))
    assert ScrapeSession.objects.get().checkpoint["subreddit"] == "python"
    if change == "edited":
        config.comment_depth = 3
        config.save()
    else:
        ScrapeSession.objects.update(finished_at=timezone.now() - RESUME_WITHIN - timedelta(seconds=1))
    reddit.requests.clear()
    assert scrape(config).status == Status.SUCCEEDED
    assert reddit.asked(path="/new")[0].query.get("after") is None


def test_a_subreddit_that_failed_is_tried_again_by_the_session_that_goes_on(reddit: RedditReplay) -> None:
    for name in ("one", "three"):
        reddit.add_posts(name, [raw_post(subreddit=name) for _ in range(150)])
    reddit.answers["/r/two/new"] = [Answer(500)]
    config = make_config(subreddits=["one", "two", "three"], post_limit=1000)
    with pytest.raises(Stop):
        scrape(config, Recorder(stop_at=6))
    reddit.add_posts("two", [raw_post(subreddit="two")])
    del reddit.answers["/r/two/new"]
    reddit.requests.clear()
    session = scrape(config)
    assert session.status == Status.SUCCEEDED
    assert {r.path for r in reddit.asked()} == {"/r/two/new", "/r/three/new"}
    assert stored() == everything(reddit)


@pytest.mark.slow
def test_a_failing_database_interrupts_the_session_and_is_reported(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(reddit)
    config = make_config(**WHOLE)

    def away(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as patched:
        patched.setattr(comments, "store_comments", away)
        patched.setattr(connection, "close", lambda: None)  # the test's own transaction
        with pytest.raises(OperationalError):
            scrape(config)
    assert ScrapeSession.objects.get().status == Status.INTERRUPTED
    assert scrape(config).status == Status.SUCCEEDED
    assert stored() == everything(reddit)


# --- Faults --------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Answer, int]] = {
    "429": (Answer(429, {"Retry-After": "5"}, b"<html>whoa there"), 1),
    "500": (Answer(500, {}, b'{"message": "Internal Server Error", "error": 500}'), 3),
    "503 html": (Answer(503, {"Content-Type": "text/html"}, b"<!doctype html>Ow!"), 3),
    "hang": (Answer(fault="hang"), 3),
    "reset": (Answer(fault="reset"), 3),
    "truncated": (Answer(body=b'{"kind": "Listing", "da', fault="short"), 3),
    "null": (Answer(body=b"null"), 1),
    "token refused": (Answer(401, {}, b'{"message": "Unauthorized", "error": 401}'), 1),
    "token expired": (Answer(401, {"www-authenticate": 'Bearer error="invalid_token"'}, b"{}"), 1),
}


class FaultyReddit(RedditReplay):
    """Answers the ``at``-th request, and a number of later ones, with a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.fault, self.at, self.times, self.count = Answer(), 10**9, 0, 0

    def respond(self, asked: Asked) -> Answer:
        self.count += 1
        answer = super().respond(asked)
        if (asked.path == TOKEN_PATH) != (self.fault.status == 401 and b"Unauthorized" in self.fault.body):
            return answer
        if self.at <= self.count and self.times:
            self.times -= 1
            return self.fault
        return answer


@pytest.mark.slow
def test_after_any_fault_the_session_is_correct_and_the_next_run_completes_it(
    reddit: RedditReplay, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = prawcore.sessions.Session.request.__kwdefaults__ or {}
    draw = random.Random(5)
    kinds = list(FAULTS)
    with FaultyReddit() as faulty:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = faulty.url
        for number in range(FAULT_SESSIONS):
            faulty.posts.clear()
            faulty.trees.clear()
            RedditPost.objects.all().delete()
            next_window()
            fill(faulty, posts=220, comments=130)
            config = make_config(**WHOLE)
            kind = kinds[number % len(kinds)]
            monkeypatch.setitem(defaults, "timeout", 0.1 if kind == "hang" else 5)
            faulty.fault, enough = FAULTS[kind]
            # Once (PRAW repeats the request), as often as PRAW tries, or for the rest of the session.
            faulty.times = draw.choice([1, enough, 10**6])
            faulty.count, faulty.at = 0, draw.randint(1, 10)
            is_fatal = faulty.times >= enough
            try:
                session = scrape(config)
            except ContinueLater as later:
                session = later.session
            session.refresh_from_db()
            # The session reports the fault, and its counts match the stored rows.
            assert session.status != Status.RUNNING
            assert session.posts_new == RedditPost.objects.count(), kind
            assert session.comments_new == RedditComment.objects.count(), kind
            if session.status == Status.SUCCEEDED:
                assert stored() == everything(faulty), kind
            else:
                assert is_fatal or kind == "token refused", kind
                assert session.error_kind != "", kind
            faulty.times = 0
            monkeypatch.setitem(defaults, "timeout", 5)
            next_window()
            again = scrape(config)
            assert again.status == Status.SUCCEEDED, (kind, again.error)
            assert stored() == everything(faulty), kind
            assert again.comments_new + session.comments_new == RedditComment.objects.count(), kind
