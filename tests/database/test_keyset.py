"""Pages by key: each row once, whatever the data are and whatever is added or deleted between two pages."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Event
from database.keyset import BadCursor, Order, decoded, encoded, place_of, read
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)
# A nullable time, a number, a text, and the key alone.
COLUMNS = ("edited_at", "score", "author", "")


def make(number: int, value: int | None) -> RedditPost:
    """A post whose columns all stand in the order of ``value``; only the time can be null."""
    return RedditPost(
        fullname=f"t3_{number}",
        subreddit="python",
        created_at=START,
        first_seen_at=START,
        last_seen_at=START,
        checked_at=START,
        edited_at=None if value is None else START + timedelta(milliseconds=value * 500),
        score=-1 if value is None else value,
        author=f"a{value}",
    )


def ordered_by(column, is_descending=True):
    return Order(column, is_descending, has_nulls=column == "edited_at")


def walk(order, size, *, forwards, start=None, between=lambda: None):
    """Return the keys of all pages in the order in which they are seen, and the last page."""
    keys, place = [], start
    for _ in range(200):
        page = read(RedditPost.objects.all(), order, size=size, **{"after" if forwards else "before": place})
        found = [row.pk for row in page.rows]
        keys += found if forwards else found[::-1]
        ahead = page.after if forwards else page.before
        if ahead is None:
            return keys, page
        place = decoded(encoded(ahead, order), RedditPost.objects.all(), order)
        between()
    raise AssertionError("the walk has no end")


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.none() | st.integers(0, 3), max_size=12),
    late=st.lists(st.tuples(st.none() | st.integers(0, 3), st.booleans()), max_size=6),
    column=st.sampled_from(COLUMNS),
    is_descending=st.booleans(),
    size=st.integers(1, 4),
    data=st.data(),
)
def test_a_walk_there_and_back_shows_each_row_once(values, late, column, is_descending, size, data):
    RedditPost.objects.all().delete()
    RedditPost.objects.bulk_create(make(number, value) for number, value in enumerate(values))
    there_before = set(RedditPost.objects.values_list("pk", flat=True))
    order, numbers, changes = ordered_by(column, is_descending), iter(range(1000, 2000)), list(late)

    def change():
        """Add a row or delete one, anywhere."""
        if not changes:
            return
        value, is_added = changes.pop()
        keys = sorted(RedditPost.objects.values_list("pk", flat=True))
        if is_added or not keys:
            RedditPost.objects.bulk_create([make(next(numbers), value)])
        else:
            RedditPost.objects.filter(pk=data.draw(st.sampled_from(keys))).delete()

    there, last = walk(order, size, forwards=True, between=change)
    stayed = there_before & set(RedditPost.objects.values_list("pk", flat=True))
    assert len(there) == len(set(there))
    assert stayed <= set(there)

    start = last.before
    own = [row.pk for row in last.rows]
    if start is None:
        return
    before_return = set(RedditPost.objects.values_list("pk", flat=True))
    back, _first = walk(order, size, forwards=False, start=start, between=change)
    stayed = before_return & set(RedditPost.objects.values_list("pk", flat=True))
    assert len(back) == len(set(back))
    assert not set(back) & set(own)
    # What was added behind the first row of the last page is not on the way back.
    whole = list(RedditPost.objects.order_by(*order.terms()).values_list("pk", flat=True))
    if own and own[0] in whole:
        assert [key for key in whole[: whole.index(own[0])] if key in stayed] == [
            key for key in reversed(back) if key in stayed
        ]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("is_descending", [True, False])
def test_the_pages_together_are_the_list_in_its_order(column, is_descending):
    RedditPost.objects.bulk_create(make(number, number % 3 or None) for number in range(20))
    order = ordered_by(column, is_descending)

    keys, _last = walk(order, 3, forwards=True)

    found = {row.pk: getattr(row, column or "pk") for row in RedditPost.objects.all()}
    largest = START + timedelta(days=1) if column == "edited_at" else None
    expected = sorted(
        found,
        key=lambda key: (largest if found[key] is None else found[key], key),
        reverse=is_descending,
    )
    assert keys == expected


def test_times_that_the_database_wrote_itself_are_places_too():
    for _ in range(3):
        factories.event()
    for _ in range(2):
        factories.event(at=START)
    order = Order("at")

    first = read(Event.objects.all(), order, size=2)
    second = read(Event.objects.all(), order, size=2, after=first.after)
    third = read(Event.objects.all(), order, size=2, after=second.after)

    keys = [row.pk for page in (first, second, third) for row in page.rows]
    assert len(keys) == len(set(keys)) == 5
    assert third.after is None
    back = read(Event.objects.all(), order, size=2, before=third.before)
    assert [row.pk for row in back.rows] == [row.pk for row in second.rows]


def test_the_neighbours_of_a_page_are_named():
    RedditPost.objects.bulk_create(make(number, number) for number in range(4))
    order = Order("score")

    first = read(RedditPost.objects.all(), order, size=2)
    last = read(RedditPost.objects.all(), order, size=2, after=first.after)

    assert (first.before, last.after) == (None, None)
    assert last.before == place_of(last.rows[0], order)
    assert read(RedditPost.objects.none(), order, size=2) == type(first)([], None, None)


@pytest.mark.parametrize(
    ("cursor", "column"),
    [
        ("", ""),
        ("!", ""),
        ("x" * 500, ""),
        ("\0", ""),
        ("密", ""),
        ("MA", ""),  # 0
        ("LTE", ""),  # -1
        ("OTIyMzM3MjAzNjg1NDc3NTgwOA", ""),  # 2 to the power of 63
        ("dHJ1ZQ", ""),  # true
        ("MS41", ""),  # 1.5
        ("WzEsMV0", ""),  # a list for the key alone
        ("Nw", "score"),  # a key alone for a column
        ("W251bGwsMCRd", "score"),
        ("WzFlOTksMV0", "score"),  # 1e99
        ("WzE4NDQ2NzQ0MDczNzA5NTUxNjE2LDFd", "score"),  # 2 to the power of 64
        ("W251bGwsMV0", "score"),  # null, for a column without nulls
        ("WyJ4IiwxXQ", "score"),
        ("WyJ4IiwxXQ", "edited_at"),
        ("WzEsMV0", "edited_at"),
        ("WyIwMDAxLTAxLTAxIDAwOjAwOjAwIiwxXQ", "edited_at"),  # the year 1
        ("WyIyMDI2LTEzLTAxIDAwOjAwOjAwIiwxXQ", "edited_at"),  # the month 13
        ("WyJcdTAwMDAiLDFd", "author"),  # NUL
        ("WyJcdWQ4MDAiLDFd", "author"),  # half a character
        ("WzEsMV0", "author"),
    ],
)
def test_what_no_page_has_given_is_no_cursor(cursor, column):
    with pytest.raises(BadCursor):
        decoded(cursor, RedditPost.objects.all(), ordered_by(column))


@pytest.mark.parametrize("is_descending", [True, False])
def test_a_page_far_in_is_a_range_of_the_index(is_descending):
    RedditPost.objects.bulk_create(make(number, number) for number in range(30))
    order = Order("created_at", is_descending)
    middle = read(RedditPost.objects.all(), order, size=15).after
    assert middle is not None
    rows = RedditPost.objects.filter(order.behind(middle)).order_by(*order.terms())[:5]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")

    plan = rows.explain()

    assert "redditpost_created_at" in plan
    assert ("Index Cond" if connection.vendor == "postgresql" else "SEARCH scraping_redditpost") in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
