import contextlib
import itertools
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
import pytest
from django.core.exceptions import FieldError
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenance.purging import batches
from maintenance.purging.plan import plan_deletion
from scraping.models import RedditComment, RedditPost
from tests.kit import factories
from tests.kit.waiting import wait_until
from tests.soak import size

# Every test runs with both walks: in the order of the key, and in the order in which the table is stored.
WALKS = {"along the key": 2, "over the table": 0}
CUTOFF = datetime(2026, 6, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
pytestmark = pytest.mark.django_db


@pytest.fixture(params=WALKS, autouse=True)
def walk(request, monkeypatch):
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", WALKS[request.param])
    return request.param


def expired():
    return RedditPost.objects.created_before(CUTOFF).not_held(CUTOFF)


def delete(queryset, *, cursor=None, save=None, between=None, share=1.0):
    return batches.delete_in_batches(
        queryset,
        key="created_at",
        share=share,
        cursor=cursor,
        save=save or (lambda counts, cursor: None),
        between=between or (lambda gone: None),
    )


def small_batches(monkeypatch, rows):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", rows)
    monkeypatch.setattr(batches, "BATCH_ROWS_MIN", rows)
    monkeypatch.setattr(batches, "BATCH_ROWS_MAX", rows)


def test_rows_exactly_at_the_cutoff_stay_and_a_microsecond_decides():
    factories.post(created_at=CUTOFF - MICROSECOND)
    at_cutoff = factories.post(created_at=CUTOFF)
    after = factories.post(created_at=CUTOFF + MICROSECOND)

    delete(expired())

    assert set(RedditPost.objects.all()) == {at_cutoff, after}


def test_comments_go_with_their_post_and_only_with_it():
    to_delete, kept = factories.post(created_at=CUTOFF - MICROSECOND), factories.post(created_at=CUTOFF)
    factories.comment(post=to_delete)
    factories.comment(post=to_delete)
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

    plan = plan_deletion(expired(), key="created_at", cutoff=CUTOFF)
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

    def stop_after_one(gone):
        if saved:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delete(expired(), save=lambda counts, cursor: saved.append((counts, cursor)), between=stop_after_one)
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
    assert batches._next_size(1_000, elapsed=10.0) == 500
    assert batches._next_size(1_000, elapsed=0.001) == 2_000
    assert batches._next_size(60, elapsed=10.0) == batches.BATCH_ROWS_MIN
    assert batches._next_size(19_000, elapsed=0.001) == batches.BATCH_ROWS_MAX


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_locked_is_waited_for_and_then_deleted(monkeypatch):
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(batches, "REFUSED_SECONDS", 0.05)
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


def while_somebody_waits_for_a_lock(act):
    """Start a thread that calls ``act`` as soon as a statement waits for a lock in PostgreSQL."""

    def wait_and_act():
        with contextlib.closing(psycopg2.connect(factories.database_url())) as observer:
            observer.autocommit = True
            cursor = observer.cursor()

            def somebody_waits():
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                return cursor.fetchone()[0]

            wait_until(somebody_waits, timeout=20, every=0.01)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_a_hold_that_is_placed_while_the_batch_waits_for_the_row_saves_it(monkeypatch):
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 20_000)
    post = factories.post(created_at=CUTOFF - MICROSECOND)
    factories.post(created_at=CUTOFF - MICROSECOND)
    comment = factories.comment(post=post)
    holder = psycopg2.connect(factories.database_url())
    holder.cursor().execute(
        "UPDATE scraping_redditpost SET held_at = now(), hold_reason = 'court order' WHERE id = %s", [post.pk]
    )
    thread = while_somebody_waits_for_a_lock(holder.commit)

    gone = delete(expired())
    thread.join()
    holder.close()

    assert list(RedditPost.objects.all()) == [post]
    assert list(RedditComment.objects.all()) == [comment]
    assert gone == {"scraping.RedditPost": 1, "scraping.RedditComment": 0}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_comments_that_come_while_their_post_goes_are_counted_too(monkeypatch):
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 20_000)
    post = factories.post(created_at=CUTOFF - MICROSECOND)
    factories.comment(post=post)
    writer = psycopg2.connect(factories.database_url())
    # Its foreign key locks the post, so the batch begins and then waits for it.
    writer.cursor().execute(
        "INSERT INTO scraping_redditcomment (fullname, author, author_fullname, body, score, created_at, is_edited,"
        " distinguished, is_stickied, state, is_author_deleted, first_seen_at, last_seen_at, missing_count, post_id,"
        " parent_fullname, depth, is_submitter, is_score_hidden) VALUES ('t1_late', '', '', '', 0, now(), false, '',"
        " false, 'live', false, now(), now(), 0, %s, '', 0, false, false)",
        [post.pk],
    )
    writer.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
    thread = while_somebody_waits_for_a_lock(writer.commit)

    gone = delete(expired())
    thread.join()
    writer.close()

    assert not RedditComment.objects.exists()
    assert gone == {"scraping.RedditPost": 1, "scraping.RedditComment": 2}


def test_a_condition_over_other_tables_is_refused():
    factories.post(created_at=CUTOFF - MICROSECOND, session=factories.session())

    with pytest.raises(FieldError, match="must not join"):
        delete(expired().filter(session__status="succeeded"))

    assert RedditPost.objects.count() == 1


@pytest.mark.parametrize(("share", "kind"), [(0.01, list), (0.5, int)])
def test_few_rows_go_along_the_key_and_many_over_the_table(monkeypatch, share, kind):
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 0.05)
    factories.post(created_at=CUTOFF - MICROSECOND)
    survivor = factories.post(created_at=CUTOFF)
    cursors = []

    delete(expired(), share=share, save=lambda counts, cursor: cursors.append(cursor))

    assert list(RedditPost.objects.all()) == [survivor]
    assert {type(cursor) for cursor in cursors} == {kind}


def test_a_purge_works_for_its_share_of_the_time(monkeypatch, settings):
    settings.PURGE_THROTTLE = 0.25
    pauses, clock = [], itertools.count()
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))  # every batch takes a second
    factories.post(created_at=CUTOFF - MICROSECOND)

    delete(expired())

    assert set(pauses) == {3.0}  # once per batch: with free space in the heap there is more than one batch


ZONES = ("UTC", "Asia/Shanghai", "America/St_Johns", "Pacific/Apia")
HOLDS = {
    "free": lambda at: {},
    "held": lambda at: {"held_at": at, "hold_reason": "x"},
    "until later": lambda at: {"held_at": at, "held_until": CUTOFF + MICROSECOND, "hold_reason": "x"},
    "ended": lambda at: {"held_at": at, "held_until": CUTOFF, "hold_reason": "x"},
}


@pytest.fixture
def small_table(db):
    """A table of posts without the blocks of earlier tests' rows: a walk in small batches would visit each of them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE scraping_redditpost CASCADE")  # rolled back with the test's transaction


@pytest.mark.soak
@pytest.mark.usefixtures("small_table")
@settings(
    max_examples=size(15, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(
                st.integers(-3, 3).map(lambda number: timedelta(microseconds=number)),
                st.timedeltas(timedelta(days=-400), timedelta(days=400)),
            ),
            st.sampled_from(ZONES),
            st.sampled_from(sorted(HOLDS)),
            st.integers(0, 3),
        ),
        max_size=15,
    ),
    cutoff_zone=st.sampled_from(ZONES),
    batch=st.integers(1, 5),
    stop_after=st.integers(0, 4),
)
def test_the_survivors_are_those_of_the_naive_definition(monkeypatch, rows, cutoff_zone, batch, stop_after):
    small_batches(monkeypatch, batch)
    cutoff = CUTOFF.astimezone(ZoneInfo(cutoff_zone))
    with transaction.atomic():
        for offset, zone, hold, comments in rows:
            made = (CUTOFF + offset).astimezone(ZoneInfo(zone))
            post = factories.post(created_at=made, **HOLDS[hold](made))
            for _ in range(comments):
                factories.comment(post=post)
        # The naive reference.
        posts = {post.pk for post in RedditPost.objects.all() if post.created_at >= cutoff or is_held(post)}
        comments_left = {one.pk for one in RedditComment.objects.all() if one.post_id in posts}
        before = Counter(
            {"scraping.RedditPost": len(rows), "scraping.RedditComment": sum(row[3] for row in rows)}
        )

        gone = deleted_in_two_attempts(cutoff, stop_after)

        assert set(RedditPost.objects.values_list("pk", flat=True)) == posts
        assert set(RedditComment.objects.values_list("pk", flat=True)) == comments_left
        assert gone == before - Counter(
            {"scraping.RedditPost": len(posts), "scraping.RedditComment": len(comments_left)}
        )
        transaction.set_rollback(True)


def is_held(post):
    return post.held_at is not None and (post.held_until is None or post.held_until > CUTOFF)


def deleted_in_two_attempts(cutoff, stop_after):
    """Delete, interrupted after this many batches and resumed; return the counts of both attempts."""
    rows = RedditPost.objects.created_before(cutoff).not_held(cutoff)
    batches = []

    def stop(gone):
        if len(batches) == stop_after:
            raise KeyboardInterrupt

    saved: dict[str, Any] = {"counts": Counter(), "cursor": None}

    def save(counts, cursor):
        batches.append(1)
        saved.update(counts=counts, cursor=cursor)

    with contextlib.suppress(KeyboardInterrupt):
        delete(
            rows,
            save=save,
            between=stop,
        )
    return saved["counts"] + delete(rows, cursor=saved["cursor"])
