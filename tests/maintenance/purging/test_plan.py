"""Plans: what they count, what they store, and how they are compared."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session

from maintenance.purging.counting import count_deletion
from maintenance.purging.plan import (
    Difference,
    TablePlan,
    differences,
    plan_deletion,
    with_exact_total,
)
from scraping.models import RedditPost
from tests.kit import factories

CUTOFF = datetime(2026, 6, 1, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def planned():
    old = RedditPost.objects.created_before(CUTOFF)
    return plan_deletion(old.not_held(CUTOFF), key="created_at", cutoff=CUTOFF, held=old.held(CUTOFF))


def test_a_plan_counts_by_table_and_by_month_in_utc():
    for month, comments in ((3, 0), (4, 2), (4, 1)):
        post = factories.post(created_at=datetime(2026, month, 30, 23, 59, tzinfo=UTC))
        for _ in range(comments):
            factories.comment(post=post)
    factories.comment(post=factories.post(created_at=CUTOFF))

    posts, comments = planned()

    assert (posts.rows, posts.total, posts.by_month) == (3, 4, {"2026-03": 1, "2026-04": 2})
    assert (comments.rows, comments.total, comments.by_month) == (3, 4, {"2026-04": 3})
    assert comments.cascaded_from == posts.model


def test_a_plan_names_the_oldest_and_the_newest_and_some_between():
    posts = [factories.post(created_at=CUTOFF - timedelta(days=day)) for day in range(30, 0, -1)]
    factories.post(created_at=CUTOFF)

    (table, _) = planned()

    assert (table.oldest, table.newest) == ("2026-05-02T00:00:00+00:00", "2026-05-31T00:00:00+00:00")
    assert [row.pk for row in table.sample] == [post.pk for post in [*posts[:10], *posts[-10:]]]


def test_a_plan_says_what_is_held_and_why():
    for reason in ("court order", "court order", "research"):
        factories.post(created_at=CUTOFF - timedelta(days=1), held_at=CUTOFF, hold_reason=reason)
    factories.post(created_at=CUTOFF, held_at=CUTOFF, hold_reason="too young to matter")

    (table, _) = planned()

    assert (table.rows, table.held) == (0, 3)
    assert [(reason.rows, reason.reason) for reason in table.held_reasons] == [
        (2, "court order"),
        (1, "research"),
    ]


def test_a_plan_keeps_neither_titles_nor_secret_keys():
    factories.post(created_at=CUTOFF - timedelta(days=1), title="deleted on Reddit later")
    factories.login_session(session_key="secret", expire_date=CUTOFF)

    kept = json.dumps(
        [table.as_json() for table in [*planned(), *plan_deletion(Session.objects.all(), key="expire_date")]]
    )

    assert "later" not in kept
    assert "secret" not in kept


def test_a_plan_says_about_how_much_room_its_rows_take():
    factories.post(created_at=CUTOFF - timedelta(days=1), body="x" * 100_000)
    factories.post(created_at=CUTOFF, body="x" * 100_000)

    (table, _) = planned()

    assert table.bytes > 10_000


def test_a_plan_comes_back_from_its_json():
    factories.comment(post=factories.post(created_at=CUTOFF - timedelta(days=1)))
    factories.post(created_at=CUTOFF - timedelta(days=1), held_at=CUTOFF, hold_reason="x")

    tables = planned()

    assert [TablePlan.from_json(json.loads(json.dumps(table.as_json()))) for table in tables] == tables


def test_an_old_estimate_of_the_total_is_counted_again():
    for _ in range(3):
        factories.post()

    table = with_exact_total(TablePlan(model="scraping.RedditPost", rows=1, total=1), "default")

    assert (table.total, table.share) == (3, 1 / 3)


def test_a_table_that_is_no_longer_declared_goes_by_its_label():
    assert TablePlan(model="gone.Model", rows=1, total=1).verbose_name == "gone.Model"


def test_only_tables_that_moved_are_told():
    posts = TablePlan(model="scraping.RedditPost", rows=5, total=9)
    comments = TablePlan(model="scraping.RedditComment", rows=7, total=9)
    planned = {"scraping.RedditPost": 5, "scraping.RedditComment": 6}

    moved = differences(planned, [posts, comments])

    assert moved == [Difference("scraping.RedditComment", 6, 7)]
    assert str(moved[0]) == "Comments: 6 were planned, at the start there were 7."
    assert differences(None, [posts]) == []


def test_a_table_is_counted_as_it_is_planned():
    for comments in (0, 1, 2):
        post = factories.post(created_at=CUTOFF - timedelta(days=1))
        for _ in range(comments):
            factories.comment(post=post)
    factories.comment(post=factories.post(created_at=CUTOFF))

    counts = count_deletion(RedditPost.objects.created_before(CUTOFF), key="created_at")

    assert counts == {table.model: table.rows for table in planned()}
    assert counts == {"scraping.RedditPost": 3, "scraping.RedditComment": 3}


def test_a_newer_plan_with_more_in_it_is_still_read():
    kept = {**TablePlan(model="scraping.RedditPost", rows=1, total=1).as_json(), "added_later": 1}

    assert TablePlan.from_json(kept).rows == 1
