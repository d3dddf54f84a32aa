"""Storing pages of posts and comments."""

import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from scraping.content.storage import SIGHT_PRECISION, Stored, store_comments
from scraping.models import RedditComment, RedditPost, ScrapeSession
from tests.kit.scraped import (
    CREATED,
    make_comment,
    make_config,
    make_post,
    make_session,
    raw_comment,
    raw_post,
)
from tests.scraping.content.storing import NOON, store, stored

pytestmark = pytest.mark.django_db


def test_an_item_is_new_only_the_first_time() -> None:
    known, fresh = raw_post(), raw_post()
    assert store(known) == Stored(found=1, new=1)
    assert store(known, fresh) == Stored(found=2, new=1)
    assert store(known | {"score": 9}, fresh) == Stored(found=2, new=0, changed=1)
    assert RedditPost.objects.count() == 2


def test_an_update_changes_reddits_columns_and_keeps_our_own() -> None:
    config = make_config()
    first = make_session(config)
    first.close(ScrapeSession.Status.SUCCEEDED)
    second = make_session(config)
    raw = raw_post()
    store(raw, session=first)
    RedditPost.objects.update(
        held_at=NOON, hold_reason="evidence", held_by=config.owner, comments_fetched=7, missing_count=1
    )
    later = NOON + timedelta(hours=1)
    edited = raw | {"score": 5, "edited": CREATED + 60, "title": "New", "num_comments": 3, "selftext": "More"}
    store(edited, session=second, at=later)
    post = RedditPost.objects.get()
    assert (post.score, post.title, post.body, post.num_comments) == (5, "New", "More", 3)
    assert post.edited_at == datetime.fromtimestamp(CREATED + 60, UTC)
    assert (post.last_seen_at, post.checked_at, post.missing_count) == (later, later, 0)
    assert (post.first_seen_at, post.session, post.comments_fetched) == (NOON, first, 7)
    assert (post.held_at, post.hold_reason, post.held_by) == (NOON, "evidence", config.owner)


def test_a_post_keeps_the_bot_that_found_it_first_when_the_session_is_gone() -> None:
    finder, other = make_config(), make_config()
    raw = raw_post()
    store(raw, session=make_session(finder))
    store(raw, raw_post(), session=make_session(other))

    ScrapeSession.objects.all().delete()

    assert [post.config_id for post in RedditPost.objects.order_by("pk")] == [finder.pk, other.pk]


def test_a_comment_keeps_its_post_and_its_first_sight() -> None:
    post = make_post(fullname="t3_aaa")
    other = make_post(fullname="t3_bbb")
    foreign = make_comment(other, body="untouched")
    raw = raw_comment({"name": "t3_aaa"})
    assert store_comments(post, [raw], seen_at=NOON) == Stored(found=1, new=1)
    later = NOON + timedelta(hours=1)
    mixed = [raw | {"body": "edited"}, raw_comment({"name": "t3_bbb"})]
    answer = store_comments(post, mixed, seen_at=later)
    assert answer == Stored(found=1, changed=1, skipped=Counter({"belongs to another post": 1}))
    comment = RedditComment.objects.get(post=post)
    assert (comment.body, comment.first_seen_at, comment.last_seen_at) == ("edited", NOON, later)
    assert list(RedditComment.objects.filter(post=other)) == [foreign]


def test_a_page_of_bad_items_alone_stores_nothing() -> None:
    assert store(raw_post(name=None)) == Stored(skipped=Counter({"no name": 1}))
    assert store() == Stored()


def test_an_item_listed_twice_in_a_page_is_one_row() -> None:
    raw = raw_post()
    assert store(raw, raw | {"score": 2}) == Stored(found=1, new=1)
    assert RedditPost.objects.get().score == 2


def test_characters_that_the_database_refuses_are_removed() -> None:
    text = json.loads(r'"a\u0000b\ud800c\udc00d \ud83d\ude00 \u200d\u202e\u0007\r\n&#x200B;"')
    raw = raw_post(
        title=text,
        selftext=text,
        url=text,
        author=text,
        link_flair_text=text,
        media_metadata={text: [text, float("nan")]},
    )
    post = stored(raw)
    kept = "abcd 😀 \u200d\u202e\u0007\r\n&#x200B;"
    assert {post.title, post.body, post.url, post.author, post.flair} == {kept}
    assert post.media == {"media_metadata": {kept: [kept, None]}}


def test_a_page_costs_a_fixed_number_of_queries() -> None:
    with CaptureQueriesContext(connection) as ten:
        store(*(raw_post() for _ in range(10)))
    with CaptureQueriesContext(connection) as hundred:
        store(*(raw_post() for _ in range(100)))
    assert len(hundred) <= len(ten) + 4  # SQLite splits large INSERTs


def version(*posts: dict[str, Any]) -> list[Any]:
    """Return a mark of the version of these rows: PostgreSQL's ctid, or all their values."""
    if connection.vendor != "postgresql":
        return list(
            RedditPost.objects.filter(fullname__in=[p["name"] for p in posts]).order_by("pk").values()
        )
    with connection.cursor() as cursor:
        names = [post["name"] for post in posts]
        cursor.execute("SELECT ctid FROM scraping_redditpost WHERE fullname = ANY(%s) ORDER BY id", [names])
        return list(cursor.fetchall())


def test_an_unchanged_row_is_not_rewritten() -> None:
    same = raw_post(
        preview={"images": [1.5, 'é\\"{}']}, upvote_ratio=0.87, edited=CREATED, title='"\\N, {NULL}'
    )
    other = raw_post()
    store(same, other)
    before = version(same)
    assert store(same, other | {"score": 3}, at=NOON + SIGHT_PRECISION) == Stored(found=2, changed=1)
    assert version(same) == before
    assert RedditPost.objects.get(fullname=other["name"]).score == 3


def test_the_sight_of_an_unchanged_item_counts_as_a_check_once_the_last_one_is_long_past() -> None:
    raw = raw_post()
    store(raw)
    RedditPost.objects.update(missing_count=0)
    later = NOON + SIGHT_PRECISION + timedelta(microseconds=1)
    assert store(raw, at=later) == Stored(found=1)
    post = RedditPost.objects.get()
    assert (post.first_seen_at, post.last_seen_at, post.checked_at) == (NOON, later, later)


def test_a_change_soon_after_the_last_check_moves_the_sight_alone() -> None:
    raw = raw_post()
    store(raw)
    soon = NOON + timedelta(minutes=1)
    store(raw | {"score": 5}, at=soon)
    post = RedditPost.objects.get()
    assert (post.score, post.last_seen_at, post.checked_at) == (5, soon, NOON)
    # An older listing does not undo what was seen then.
    assert store(raw, at=soon - timedelta(seconds=1)) == Stored(found=1)
    assert RedditPost.objects.get().score == 5


@pytest.mark.parametrize("was", [{"missing_count": 1}, {"checked_at": None}])
def test_an_unchanged_item_that_was_missing_or_never_checked_becomes_checked(was: dict[str, Any]) -> None:
    raw = raw_post()
    store(raw)
    RedditPost.objects.update(**was)
    soon = NOON + timedelta(minutes=1)
    assert store(raw, at=soon) == Stored(found=1)
    post = RedditPost.objects.get()
    assert (post.missing_count, post.last_seen_at, post.checked_at) == (0, soon, soon)


def test_an_older_sight_changes_nothing() -> None:
    raw = raw_post(score=1)
    store(raw, at=NOON)
    RedditPost.objects.update(missing_count=1)
    assert store(raw | {"score": 2}, at=NOON - timedelta(microseconds=1)) == Stored(found=1)
    post = RedditPost.objects.get()
    assert (post.score, post.missing_count, post.checked_at) == (1, 1, NOON)


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)


@pytest.mark.slow
@hypothesis.settings(max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@given(
    title=texts, body=texts, media=st.dictionaries(texts, st.none() | st.floats(-1, 1) | texts, max_size=3)
)
def test_every_text_comes_back_as_it_went_in(title: str, body: str, media: dict[str, Any]) -> None:
    raw = raw_post(title=f"t{title}", selftext=f"b{body}", media_metadata=media or None)
    post = stored(raw)
    assert (post.title, post.body) == (f"t{title}", f"b{body}")
    assert (post.media or {}).get("media_metadata", {}) == media
    assert store(raw) == Stored(found=1)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_sessions_that_store_the_same_items_at_once_neither_deadlock_nor_double() -> None:
    posts = [raw_post() for _ in range(60)]
    store(*posts[:30])
    barrier = threading.Barrier(4)

    def scrape(seed: int) -> int:
        order = random.Random(seed)
        try:
            barrier.wait(10)
            new = 0
            for turn in range(8):
                page = [post | {"score": seed * 100 + turn} for post in order.sample(posts, 40)]
                new += store(*page, at=NOON + timedelta(seconds=turn)).new
            return new
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        new = sum(pool.map(scrape, range(4)))
    assert RedditPost.objects.count() == 60
    assert new == 30


def test_rows_are_written_in_the_order_of_their_fullnames_so_that_no_two_scrapes_deadlock() -> None:
    posts = [raw_post() for _ in range(20)]
    store(*posts[::-1])
    written = list(RedditPost.objects.order_by("pk").values_list("fullname", flat=True))
    assert written == sorted(post["name"] for post in posts)
