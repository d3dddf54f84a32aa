"""Holding and releasing posts, without the admin pages."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg2
import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from scraping.content import holds
from scraping.models import RedditPost
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def holder():
    return factories.user(holds.PERMISSION, username="ada")


def hold(posts=None, *, by, reason="court order", until=None):
    return holds.hold_posts(posts or RedditPost.objects.all(), by=by, reason=reason, until=until)


def release(posts=None, *, by, reason="settled"):
    return holds.release_posts(posts or RedditPost.objects.all(), by=by, reason=reason)


def facts(post):
    post.refresh_from_db()
    return (post.held_by, post.hold_reason, post.held_until)


def test_a_hold_says_who_why_and_until_when_and_touches_no_other_post(holder):
    chosen, other = factories.post(), factories.post()
    until = timezone.now() + HOUR

    held = hold(RedditPost.objects.filter(pk=chosen.pk), by=holder, reason=" court order ", until=until)

    assert held == 1
    assert facts(chosen) == (holder, "court order", until)
    assert chosen.is_held
    assert facts(other) == (None, "", None)
    assert list(RedditPost.objects.held()) == [chosen]


def test_a_hold_without_an_end_lasts_until_it_is_released(holder):
    post, kept = factories.post(), factories.post()
    hold(by=holder)

    assert release(RedditPost.objects.filter(pk=post.pk), by=holder) == 1

    assert facts(post) == (None, "", None)
    assert list(RedditPost.objects.held()) == [kept]


def test_a_second_hold_replaces_the_first_and_the_history_keeps_both(holder):
    post = factories.post()
    hold(by=holder, reason="first")
    hold(by=holder, reason="second", until=timezone.now() + HOUR)

    assert facts(post)[1] == "second"
    entries = Event.objects.order_by("pk").values_list("actor", "subject_id", "reason", "after")
    assert [(user, pk) for user, pk, *_ in entries] == [(holder.pk, str(post.pk))] * 2
    assert [reason for _, _, reason, _ in entries] == ["first", "second"]
    assert entries[0][3] is None
    assert "until" in entries[1][3]


def test_the_history_never_keeps_a_title(holder):
    post = factories.post(title="what must be gone once its author deletes it")

    hold(by=holder)
    release(by=holder)

    assert [event.subject_name for event in Event.objects.all()] == [post.fullname] * 2


def test_only_held_posts_are_released_and_logged(holder):
    held, free = factories.post(), factories.post()
    hold(RedditPost.objects.filter(pk=held.pk), by=holder)

    assert release(by=holder) == 1
    assert not Event.objects.filter(subject_id=str(free.pk)).exists()


@pytest.mark.parametrize("do", [hold, release])
def test_a_person_without_the_permission_is_refused(do):
    post = factories.post(held_at=timezone.now(), hold_reason="x")
    nobody = factories.user("scraping.view_redditpost")
    gone = factories.user(holds.PERMISSION, is_active=False)

    for person in (nobody, gone):
        with pytest.raises(PermissionDenied):
            do(by=person)
    assert facts(post)[1] == "x"


@pytest.mark.parametrize("do", [hold, release])
@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_is_required(do, reason, holder):
    post = factories.post(held_at=timezone.now(), hold_reason="x")

    with pytest.raises(ValueError, match="Say why"):
        do(by=holder, reason=reason)
    assert facts(post)[1] == "x"


def test_a_hold_cannot_end_in_the_past(holder):
    post = factories.post()

    with pytest.raises(ValueError, match="in the past"):
        hold(by=holder, until=timezone.now())
    assert not post.is_held


def test_more_posts_than_one_transaction_should_lock_are_all_refused(holder, monkeypatch):
    monkeypatch.setattr(holds, "POSTS_MAX", 2)
    for _ in range(3):
        factories.post()

    with pytest.raises(holds.TooManyPosts, match="At most 2 posts"):
        hold(by=holder)
    assert not RedditPost.objects.held().exists()


@pytest.mark.slow
def test_thousands_take_no_more_statements_than_one(holder):
    def statements():
        with CaptureQueriesContext(connection) as captured:
            hold(by=holder)
        return [query["sql"].split()[0] for query in captured if "INSERT" not in query["sql"]]

    factories.post()
    hold(by=holder)
    one = statements()
    RedditPost.objects.bulk_create(factories.unsaved_post() for _ in range(3_000))

    assert statements() == one
    assert (
        RedditPost.objects.held().count()
        == Event.objects.order_by().values("subject_id").distinct().count()
        == 3_001
    )


def test_a_hold_that_has_ended_no_longer_holds():
    post = factories.post(
        held_at=timezone.now() - HOUR, held_until=timezone.now() - timedelta(seconds=1), hold_reason="x"
    )

    assert not post.is_held
    assert list(RedditPost.objects.not_held()) == [post]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
@pytest.mark.django_db(transaction=True)
def test_posts_that_a_concurrent_purge_deletes_do_not_count_as_held(holder):
    gone, kept = factories.post(), factories.post()
    purge = psycopg2.connect(factories.database_url())
    purge.cursor().execute("DELETE FROM scraping_redditpost WHERE id = %s", [gone.pk])

    def hold_in_a_thread():
        try:
            return hold(by=holder)
        finally:
            connection.close()

    def is_waiting():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return cursor.fetchone()[0]

    with ThreadPoolExecutor() as pool:
        held = pool.submit(hold_in_a_thread)
        wait_until(is_waiting, timeout=10)
        purge.commit()
        purge.close()
        assert held.result(10) == 1

    assert list(RedditPost.objects.held()) == [kept]
    assert [event.subject_name for event in Event.objects.all()] == [kept.fullname]
