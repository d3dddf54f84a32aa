"""How a session reports failing requests and rows, and what it keeps."""

import logging
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from scraping.compliance.sweep import refresh_stored_content
from scraping.content.storage import store_comments
from scraping.models import ErrorKind, RedditComment, RedditPost, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions import comments, subreddit
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import TOKEN_PATH, Answer, RedditReplay, listing, thing

pytestmark = pytest.mark.django_db

Status = ScrapeSession.Status


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
def test_an_error_of_all_requests_stops_the_scrape_early(
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


def test_failing_comments_of_one_post_do_not_affect_the_others(reddit: RedditReplay) -> None:
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


def test_an_internal_error_is_in_the_session_and_in_the_log(
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


# Events between an answer and its storing, for posts and for comments.
@pytest.mark.slow
@pytest.mark.parametrize("step", ["keep_wanted", "_above"])
def test_an_item_deleted_during_its_request_is_not_restored(
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
        assert refresh_stored_content(SilentProgress()).counts["deleted"] == 2
        return take_step(*args)

    monkeypatch.setattr(module, step, sweep_first)
    scrape(config)
    if step == "keep_wanted":
        assert RedditPost.objects.get(fullname=deleted["name"]).title == ""
    else:
        assert RedditComment.objects.get(fullname=comment["name"]).body == ""
    assert RedditPost.objects.get(fullname=kept["name"]).title == "Kept"
    assert RedditComment.objects.get(post__fullname=kept["name"]).body == "A comment"


@pytest.mark.slow
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
