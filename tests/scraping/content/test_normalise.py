"""How invalid values of Reddit are normalised before they are stored."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from scraping.content.storage import Stored, store_comments
from scraping.models import ContentState, RedditComment, RedditPost
from tests.kit.scraped import CREATED, make_post, raw_comment, raw_post
from tests.scraping.content.storing import NOON, store, stored

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": None}, "no name"),
        ({"name": 7}, "name is no fullname"),
        ({"name": "t1_abc"}, "name is not t3_…"),
        ({"name": "t3_"}, "name is no fullname"),
        ({"name": "t3_abc\n"}, "name is no fullname"),
        ({"name": "t3_" + "a" * 14}, "name is no fullname"),
        ({"name": "t3_a'; --"}, "name is no fullname"),
    ],
)
def test_a_bad_item_is_counted_by_reason_and_its_page_is_stored(change: dict[str, Any], reason: str) -> None:
    good = raw_post()
    bad = {key: value for key, value in (raw_post() | change).items() if value is not None}
    assert store(bad, good) == Stored(found=1, new=1, skipped=Counter({reason: 1}))
    assert [post.fullname for post in RedditPost.objects.all()] == [good["name"]]


@pytest.mark.parametrize(
    ("change", "reason", "column"),
    [
        ({"created_utc": None}, "no created_utc", None),
        ({"created_utc": "yesterday"}, "created_utc is no time", None),
        ({"created_utc": True}, "created_utc is no time", None),
        ({"created_utc": float("nan")}, "created_utc is no time", None),
        ({"created_utc": 1e18}, "created_utc is no time", None),
        ({"created_utc": 0}, "created_utc lies before Reddit", None),
        ({"created_utc": -5.0}, "created_utc lies before Reddit", None),
        ({"created_utc": time.time() + 7200}, "created_utc lies ahead", None),
        ({"title": ["a"]}, "title is no text", ("title", "")),
        ({"selftext": {}}, "selftext is no text", ("body", "")),
        ({"author": 7}, "author is no text", ("is_author_deleted", False)),
        ({"link_flair_text": [1]}, "link_flair_text is no text", ("flair", "")),
        ({"score": "many"}, "score is no number", ("score", 0)),
        ({"num_comments": []}, "num_comments is no number", ("num_comments", 0)),
        ({"num_comments": -3}, "num_comments is negative", ("num_comments", 0)),
        ({"upvote_ratio": "high"}, "upvote_ratio is no number", ("upvote_ratio", None)),
        ({"upvote_ratio": 7}, "upvote_ratio is no share", ("upvote_ratio", None)),
        ({"edited": 0}, "edited is no time", ("is_edited", False)),
        ({"edited": -1}, "edited is no time", ("edited_at", None)),
    ],
)
def test_an_invalid_field_is_left_empty_and_counted_and_its_post_is_kept(
    change: dict[str, Any], reason: str, column: tuple[str, Any] | None
) -> None:
    good, odd = raw_post(), raw_post() | change
    assert store(odd, good) == Stored(found=2, new=2, odd=Counter({reason: 1}))
    post = RedditPost.objects.get(fullname=odd["name"])
    if column:
        assert getattr(post, column[0]) == column[1]
        assert post.created_at.timestamp() == odd["created_utc"]
    else:
        # The present, because a purge compares this time: the post is neither deleted at once nor kept for ever.
        assert abs((post.created_at - timezone.now()).total_seconds()) < 60


def test_deeply_nested_media_is_cut_and_not_fatal() -> None:
    nest: Any = "bottom"
    for _ in range(900):
        nest = [nest]
    media = stored(raw_post(preview={"images": nest})).media
    assert media is not None
    assert str(media).count("[") < 60


def test_the_longest_texts_of_reddit_fit() -> None:
    post = stored(raw_post(selftext="x" * 78_000, url="https://a.b/" + "y" * 23_000, title="z" * 300))
    assert (len(post.body), len(post.url), len(post.title)) == (78_000, 23_012, 300)


def test_texts_longer_than_their_column_are_cut_and_broken_ids_dropped() -> None:
    post = stored(
        raw_post(
            author="a" * 100,
            subreddit="s" * 100,
            domain="d" * 300,
            link_flair_text="f" * 300,
            author_fullname="t2_" + "9" * 50,
            distinguished="moderator" * 9,
        )
    )
    assert (len(post.author), len(post.subreddit), len(post.domain), len(post.flair)) == (64, 50, 200, 200)
    assert (post.author_fullname, len(post.distinguished)) == ("", 16)


def test_numbers_beyond_the_column_are_clamped() -> None:
    post = stored(raw_post(score=-(10**30), num_comments=10**30, upvote_ratio=float("inf")))
    assert (post.score, post.num_comments, post.upvote_ratio) == (-(2**31), 2**31 - 1, None)


@pytest.mark.parametrize(
    ("edited", "is_edited", "edited_at"),
    [
        (False, False, None),
        (None, False, None),
        (True, True, None),
        (CREATED, True, datetime.fromtimestamp(CREATED, UTC)),
        (int(CREATED), True, datetime.fromtimestamp(CREATED, UTC)),
        ("soon", True, None),
    ],
)
def test_edited_is_false_a_time_or_just_true(
    edited: Any, is_edited: bool, edited_at: datetime | None
) -> None:
    post = stored(raw_post(edited=edited))
    assert (post.is_edited, post.edited_at) == (is_edited, edited_at)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, ContentState.LIVE),
        ({"removed_by_category": "deleted"}, ContentState.DELETED_BY_AUTHOR),
        ({"removed_by_category": "author"}, ContentState.DELETED_BY_AUTHOR),
        ({"removed_by_category": "moderator"}, ContentState.REMOVED_BY_MODERATOR),
        ({"removed_by_category": "automod_filtered"}, ContentState.REMOVED_BY_MODERATOR),
        ({"removed_by_category": "reddit"}, ContentState.REMOVED_BY_REDDIT),
        ({"removed_by_category": "anti_evil_ops"}, ContentState.REMOVED_BY_REDDIT),
        ({"removed_by_category": "copyright_takedown"}, ContentState.REMOVED_BY_REDDIT),
        ({"removed_by_category": "of_tomorrow"}, ContentState.REMOVED_BY_REDDIT),
        ({"selftext": "[deleted]"}, ContentState.DELETED_BY_AUTHOR),
        ({"selftext": "[removed]"}, ContentState.REMOVED_BY_MODERATOR),
        ({"title": "[deleted by user]", "selftext": ""}, ContentState.DELETED_BY_AUTHOR),
        ({"title": "[ Removed by moderator ]"}, ContentState.REMOVED_BY_MODERATOR),
        ({"selftext": "[ Removed by Reddit ]"}, ContentState.REMOVED_BY_REDDIT),
        ({"is_robot_indexable": False}, ContentState.REMOVED_BY_MODERATOR),
        ({"is_robot_indexable": False, "author": "[deleted]"}, ContentState.DELETED_BY_AUTHOR),
    ],
)
def test_a_post_that_is_gone_on_reddit_loses_its_content_here(
    change: dict[str, Any], state: ContentState
) -> None:
    raw = raw_post(preview={"images": ["https://i.redd.it/a"]}, thumbnail="https://b.thumbs", score=4)
    raw |= {"link_flair_text": "news"}
    survivor = raw_post()
    store(raw, survivor)
    assert RedditPost.objects.exclude(title="").count() == 2
    store(raw | change, survivor)
    post = RedditPost.objects.get(fullname=raw["name"])
    assert (post.state, post.score) == (state, 4)
    content = [post.title, post.body, post.url, post.permalink, post.domain, post.flair, post.media]
    assert all(content) if state == ContentState.LIVE else not any(content)
    assert RedditPost.objects.get(fullname=survivor["name"]).body == "A text"


@pytest.mark.parametrize(
    ("body", "state", "kept"),
    [
        ("fine", ContentState.LIVE, "fine"),
        ("[deleted]", ContentState.DELETED_BY_AUTHOR, ""),
        ("[removed]", ContentState.REMOVED_BY_MODERATOR, ""),
        ("[ Removed by Reddit ]", ContentState.REMOVED_BY_REDDIT, ""),
        ("[deleted] is what it said", ContentState.LIVE, "[deleted] is what it said"),
    ],
)
def test_the_state_of_a_comment_is_in_its_text(body: str, state: ContentState, kept: str) -> None:
    post = make_post()
    raw = raw_comment({"name": post.fullname})
    store_comments(post, [raw], seen_at=NOON)
    store_comments(post, [raw | {"body": body}], seen_at=NOON)
    comment = RedditComment.objects.get()
    assert (comment.state, comment.body) == (state, kept)


@pytest.mark.parametrize("author", ["[deleted]", None])
def test_content_of_a_deleted_account_stays_without_the_name(author: str | None) -> None:
    raw = raw_post()
    assert stored(raw).author == "somebody"
    store(raw | {"author": author})
    post = RedditPost.objects.get()
    assert (post.author, post.author_fullname, post.is_author_deleted) == ("", "", True)
    assert (post.state, post.body) == (ContentState.LIVE, "A text")


def test_a_profile_post_of_a_deleted_account_does_not_name_it() -> None:
    raw = raw_post(
        subreddit="u_somebody",
        domain="self.somebody",
        permalink="/r/u_somebody/comments/x/y/",
        url="https://www.reddit.com/r/u_somebody/comments/x/y/",
        author="[deleted]",
    )
    del raw["author_fullname"]
    post = stored(raw)
    assert "somebody" not in f"{post.subreddit} {post.domain} {post.permalink} {post.url} {post.author}"
    assert post.body == "A text"


def test_restored_content_comes_back() -> None:
    raw = raw_post()
    stored(raw | {"removed_by_category": "moderator"})
    post = stored(raw)
    assert (post.state, post.title, post.removed_by_category) == (ContentState.LIVE, "A title", "")


def test_a_crossposts_parent_is_not_kept() -> None:
    post = stored(raw_post(crosspost_parent_list=[raw_post(selftext="of somebody else")]))
    assert "somebody else" not in json.dumps(post.media) + post.body
