"""Comments that could not be read stay due until they are read, or the post is gone from Reddit."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, models
from django.utils import timezone

from scraping.models import BotConfig, RedditComment, RedditPost, ScrapeSession, due
from scraping.models.due import DueWalk
from scraping.sessions import comments
from tests.kit.progress import Recorder, Stop
from tests.kit.scraped import make_config, make_session, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = pytest.mark.django_db

REFUSALS = {
    "403": Answer(403, {}, b"<html>no</html>"),
    "403 json": Answer(403, {}, b'{"message": "Forbidden", "error": 403}'),
    "404": Answer(404, {}, b'{"message": "Not Found", "error": 404}'),
    "451": Answer(451),
    "500": Answer(500),
    "html": Answer(200, {"Content-Type": "text/html"}, b"<!doctype html>"),
}


def old_and_new_posts(reddit: RedditReplay, *, discussed: int = 240) -> tuple[dict[str, Any], BotConfig]:
    """Return 250 posts, of which one far beyond the frontier has 12 comments."""
    posts = [raw_post(created_utc=1_700_000_000.0 - n * 600) for n in range(250)]
    posts[discussed]["num_comments"] = 12
    reddit.add_posts("python", posts)
    reddit.add_tree(posts[discussed], [raw_comment(posts[discussed]) for _ in range(12)])
    return posts[discussed], make_config(post_limit=1000, comment_policy="complete")


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSALS)
def test_one_refusal_only_delays_a_post(reddit: RedditReplay, kind: str) -> None:
    post, config = old_and_new_posts(reddit)
    path = f"/comments/{post['id']}"
    reddit.answers[path] = [REFUSALS[kind]]
    first = scrape(config)
    assert (first.status, first.comments_new, first.has_transient_error) == ("partial", 0, True)
    row = DueWalk.objects.get()
    assert (row.fullname, row.reason, row.tries) == (post["name"], first.error_kind, 1)
    del reddit.answers[path]
    second = scrape(config)
    assert (second.status, second.comments_new, second.has_transient_error) == ("succeeded", 12, False)
    assert not DueWalk.objects.exists()


@pytest.mark.slow
def test_a_post_that_keeps_failing_is_tried_less_often_and_reported(reddit: RedditReplay) -> None:
    post, config = old_and_new_posts(reddit)
    reddit.answers[f"/comments/{post['id']}"] = [REFUSALS["404"]]
    for _ in range(due.TRIES_AT_ONCE):
        assert scrape(config).status == "partial"
    reddit.requests.clear()
    session = scrape(config)
    assert (session.status, session.totals["python"]["comments_due"]) == ("succeeded", 1)
    assert any("could not be read so far" in text for text in session.totals["python"]["warnings"])
    assert not reddit.asked(path="/comments/")
    DueWalk.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    assert scrape(config).status == "partial"


@pytest.mark.slow
def test_a_post_that_is_gone_from_reddit_is_no_longer_due(reddit: RedditReplay) -> None:
    post, config = old_and_new_posts(reddit)
    reddit.answers[f"/comments/{post['id']}"] = [REFUSALS["404"]]
    del reddit.known[post["name"]]
    progress = Recorder()
    assert scrape(config).status == "partial"
    assert scrape(config, progress).status == "succeeded"
    assert ("warning", f"{post['name']} is gone from Reddit.") in progress.lines
    assert not DueWalk.objects.exists()


@pytest.mark.slow
def test_a_deleted_post_is_given_up_after_some_tries_and_a_live_one_never(reddit: RedditReplay) -> None:
    post, config = old_and_new_posts(reddit)
    reddit.answers[f"/comments/{post['id']}"] = [REFUSALS["403 json"]]
    for _ in range(due.TRIES_AT_ONCE + 3):
        DueWalk.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        assert scrape(config).status == "partial"
    reddit.known[post["name"]] = post | {"removed_by_category": "deleted"}
    DueWalk.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    assert scrape(config).status == "succeeded"
    assert not DueWalk.objects.exists()


def test_posts_left_when_a_subreddit_was_given_up_are_due(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=1) for _ in range(10)]
    reddit.add_posts("python", posts)
    config = make_config(comment_policy="complete")
    assert scrape(config).status == "partial"
    assert sorted(DueWalk.objects.values_list("tries", flat=True)) == [0] * 7 + [1] * 3
    for post in posts:
        reddit.add_tree(post, [raw_comment(post)])
    assert scrape(config).comments_new == 10


@pytest.mark.slow
@pytest.mark.parametrize("is_deleted", [True, False])
def test_comments_that_the_database_refuses_stay_due_unless_their_post_is_deleted(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    post, config = old_and_new_posts(reddit)

    def refused(stored: RedditPost, *_args: Any, **_named: Any) -> None:
        if is_deleted:
            stored.delete()
        raise IntegrityError("CHECK constraint failed: comment_depth\nDETAIL: somebody's words")

    with monkeypatch.context() as patch:
        patch.setattr(comments, "store_comments", refused)
        first = scrape(config)

    assert DueWalk.objects.exists() != is_deleted
    assert first.error_kind == ("" if is_deleted else "internal")
    if not is_deleted:
        error = (
            "The database refuses the comments of "
            + post["name"]
            + " (CHECK constraint failed: comment_depth)."
        )
        assert first.totals["python"]["error"] == error
        assert scrape(config).comments_new == 12


@pytest.mark.slow
@pytest.mark.parametrize("written", ["Python", "java"])
def test_a_subreddit_written_in_other_case_keeps_its_posts_and_another_does_not(
    reddit: RedditReplay, written: str
) -> None:
    post, config = old_and_new_posts(reddit)
    reddit.answers[f"/comments/{post['id']}"] = [REFUSALS["500"]]
    assert scrape(config).comments_new == 0
    del reddit.answers[f"/comments/{post['id']}"]
    reddit.add_posts(written, [])

    config.subreddits = [written]
    config.save()

    assert scrape(config).comments_new == (12 if written == "Python" else 0)
    assert not DueWalk.objects.exists()


@pytest.mark.slow
def test_posts_that_fail_for_ever_do_not_starve_the_others(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=1) for _ in range(10)]
    reddit.add_posts("python", posts)
    for post in posts[5:]:
        reddit.add_tree(post, [raw_comment(post)])
    config = make_config(comment_policy="complete")
    for _ in range(4):
        scrape(config)
    assert RedditComment.objects.count() == 5


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [5, 6])
def test_an_unused_checkpoint_leaves_its_posts_due(reddit: RedditReplay, stop_at: int) -> None:
    posts = [raw_post(created_utc=1_700_000_000.0 - n * 600, num_comments=n // 240) for n in range(250)]
    reddit.add_posts("python", posts)
    for post in posts[240:]:
        reddit.add_tree(post, [raw_comment(post)])
    config = make_config(post_limit=1000, comment_policy="complete")
    with pytest.raises(Stop):
        scrape(config, Recorder(stop_at=stop_at))
    ScrapeSession.objects.update(finished_at=timezone.now() - timedelta(hours=2))
    assert scrape(config).status == "succeeded"
    assert RedditComment.objects.count() == 10


@pytest.mark.slow
def test_posts_left_over_by_an_earlier_release_are_due(reddit: RedditReplay) -> None:
    post, config = old_and_new_posts(reddit)
    reddit.answers[f"/comments/{post['id']}"] = [REFUSALS["500"]]
    scrape(config)
    DueWalk.objects.all().delete()
    checkpoint = {
        "config": "", "since": timezone.now().isoformat(), "left_over": {"python": {post["name"]: 1}},
    }  # fmt: skip
    session = make_session(config, checkpoint=checkpoint)
    session.close("partial")
    del reddit.answers[f"/comments/{post['id']}"]
    assert scrape(config).comments_new == 12


@pytest.mark.slow
def test_posts_deleted_here_or_no_longer_wanted_are_not_due(reddit: RedditReplay) -> None:
    post, config = old_and_new_posts(reddit)
    reddit.answers[f"/comments/{post['id']}"] = [REFUSALS["500"]]
    scrape(config)
    RedditPost.objects.filter(fullname=post["name"]).delete()
    scrape(config)
    assert not DueWalk.objects.exists()
    due.keep_due(config.pk, "golang", ["t3_1"])
    due.keep_due(config.pk, "python", ["t3_2"])
    other = make_config(subreddits=["golang"])
    due.keep_due(other.pk, "golang", ["t3_1"])
    config.comment_policy = "none"
    config.save()
    scrape(config)
    assert set(DueWalk.objects.values_list("config", "fullname")) == {
        (config.pk, "t3_2"), (other.pk, "t3_1"),
    }  # fmt: skip
    config.delete()
    assert DueWalk.objects.get().config_id == other.pk


def test_the_waits_grow_to_a_day() -> None:
    now = timezone.now()
    waits = [due.next_try(tries, now=now) - now for tries in (1, 4, 5, 6, 9, 10, 10**6)]
    hours = [wait.total_seconds() / 3600 for wait in waits]
    assert hours == [0, 0, 1, 2, 16, 24, 24]


@pytest.mark.parametrize("subreddits", [None, "python", {}, 7])
def test_a_config_broken_by_hand_ends_its_session_and_keeps_what_is_due(
    reddit: RedditReplay, subreddits: Any
) -> None:
    config = make_config()
    due.keep_due(config.pk, "python", ["t3_1"])
    BotConfig.objects.filter(pk=config.pk).update(subreddits=models.Value(subreddits, models.JSONField()))
    assert scrape(config).status == "failed"
    assert DueWalk.objects.exists()
