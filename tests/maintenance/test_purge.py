from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from maintenance import purge
from scraping.models import RedditComment, RedditPost
from tests import factories

CUTOFF = datetime(2026, 6, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
pytestmark = pytest.mark.django_db


def expired():
    return RedditPost.objects.created_before(CUTOFF).not_held(CUTOFF)


def delete(queryset, *, cursor=None, save=None, between=None):
    return purge.delete_in_batches(
        queryset,
        key="created_at",
        cursor=cursor,
        save=save or (lambda counts, cursor: None),
        between=between or (lambda gone: None),
    )


def small_batches(monkeypatch, rows):
    monkeypatch.setattr(purge, "BATCH_ROWS_FIRST", rows)
    monkeypatch.setattr(purge, "BATCH_ROWS_MIN", rows)
    monkeypatch.setattr(purge, "BATCH_ROWS_MAX", {"postgresql": rows, "sqlite": rows})


def test_rows_exactly_at_the_cutoff_stay_and_a_microsecond_decides():
    factories.post(created_at=CUTOFF - MICROSECOND)
    at_cutoff = factories.post(created_at=CUTOFF)
    after = factories.post(created_at=CUTOFF + MICROSECOND)

    delete(expired())

    assert set(RedditPost.objects.all()) == {at_cutoff, after}


def test_comments_go_with_their_post_and_only_with_it():
    doomed, kept = factories.post(created_at=CUTOFF - MICROSECOND), factories.post(created_at=CUTOFF)
    factories.comment(post=doomed)
    factories.comment(post=doomed)
    survivor = factories.comment(post=kept)

    gone = delete(expired())

    assert list(RedditComment.objects.all()) == [survivor]
    assert gone == Counter({"scraping.RedditPost": 1, "scraping.RedditComment": 2})


def test_a_held_post_survives_with_its_comments_until_its_hold_ends():
    old = CUTOFF - timedelta(days=1)
    held = factories.post(created_at=old, held_at=old, hold_reason="court order")
    ended = factories.post(created_at=old, held_at=old, held_until=CUTOFF, hold_reason="over")
    survivor = factories.comment(post=held)
    factories.comment(post=ended)

    delete(expired())

    assert list(RedditPost.objects.all()) == [held]
    assert list(RedditComment.objects.all()) == [survivor]


def test_the_plan_counts_just_what_is_then_deleted():
    for number in range(7):
        post = factories.post(created_at=CUTOFF + timedelta(days=number - 4))
        factories.comment(post=post)

    plan = purge.plan(expired(), cutoff=CUTOFF)
    gone = delete(expired())

    assert (
        {row.model: row.rows for row in plan}
        == gone
        == {"scraping.RedditPost": 4, "scraping.RedditComment": 4}
    )
    assert [row.total for row in plan] == [7, 7]


def test_many_rows_with_the_same_key_are_walked_in_batches(monkeypatch):
    small_batches(monkeypatch, 3)
    for _ in range(10):
        factories.post(created_at=CUTOFF - MICROSECOND)
    survivor = factories.post(created_at=CUTOFF)

    delete(expired())

    assert list(RedditPost.objects.all()) == [survivor]


def test_a_purge_resumes_from_its_cursor_and_the_counts_add_up(monkeypatch):
    small_batches(monkeypatch, 2)
    for number in range(9):
        factories.comment(post=factories.post(created_at=CUTOFF - timedelta(days=number + 1)))
    survivor = factories.post(created_at=CUTOFF)
    saved = []

    def stop_after_two(gone):
        if gone["scraping.RedditPost"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delete(expired(), save=lambda counts, cursor: saved.append((counts, cursor)), between=stop_after_two)
    first_counts, cursor = saved[-1]
    second_counts = delete(expired(), cursor=cursor)

    assert list(RedditPost.objects.all()) == [survivor]
    assert first_counts + second_counts == {"scraping.RedditPost": 9, "scraping.RedditComment": 9}


def test_a_batch_whose_progress_cannot_be_saved_is_undone(monkeypatch):
    small_batches(monkeypatch, 2)
    for number in range(4):
        factories.post(created_at=CUTOFF - timedelta(days=number + 1))

    def refuse(counts, cursor):
        raise RuntimeError("the run was taken away")

    with pytest.raises(RuntimeError):
        delete(expired(), save=refuse)

    assert RedditPost.objects.count() == 4


def test_a_slow_batch_shrinks_the_next_one_at_most_by_half():
    assert purge._next_size(1_000, elapsed=10.0, largest=5_000) == 500
    assert purge._next_size(1_000, elapsed=0.001, largest=5_000) == 2_000
    assert purge._next_size(60, elapsed=10.0, largest=5_000) == purge.BATCH_ROWS_MIN


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_locked_is_waited_for_and_then_deleted(monkeypatch):
    monkeypatch.setattr(purge, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(purge, "REFUSED_SECONDS", 0.05)
    post = factories.post(created_at=CUTOFF - MICROSECOND)
    survivor = factories.post(created_at=CUTOFF)
    holder = psycopg2.connect(factories.database_url())
    holder.cursor().execute("SELECT 1 FROM scraping_redditpost WHERE id = %s FOR UPDATE", [post.pk])
    looks = []

    def let_go_at_the_third_look(gone):
        looks.append(gone)
        if len(looks) == 3:
            holder.rollback()

    gone = delete(expired(), between=let_go_at_the_third_look)
    holder.close()

    assert gone["scraping.RedditPost"] == 1
    assert list(RedditPost.objects.all()) == [survivor]


class AnyRows(TestCase):
    @settings(max_examples=40, deadline=None)
    @given(
        offsets=st.lists(
            st.tuples(st.integers(-3, 3), st.sampled_from(["free", "held", "ended"]), st.integers(0, 3)),
            max_size=15,
        )
    )
    def test_the_survivors_are_those_of_the_naive_definition(self, offsets):
        posts = []
        for microseconds, hold, comments in offsets:
            made = CUTOFF + timedelta(microseconds=microseconds)
            holds = {
                "free": {},
                "held": {"held_at": made, "hold_reason": "x"},
                "ended": {"held_at": made, "held_until": CUTOFF, "hold_reason": "x"},
            }[hold]
            post = factories.post(created_at=made, **holds)
            for _ in range(comments):
                factories.comment(post=post)
            posts.append((post.pk, made >= CUTOFF or hold == "held", comments))

        delete(expired())

        survivors = {pk for pk, survives, _ in posts if survives}
        assert set(RedditPost.objects.values_list("pk", flat=True)) == survivors
        assert RedditComment.objects.count() == sum(n for pk, _, n in posts if pk in survivors)
