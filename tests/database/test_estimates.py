"""Sizes of tables, exact while small and estimated when big."""

import pytest
from django.db import connection

from database import estimates
from database.estimates import table_sizes
from scraping.models import RedditComment, RedditPost
from tests import factories

pytestmark = pytest.mark.django_db


def test_small_tables_are_counted():
    factories.post()
    factories.comment()

    sizes = table_sizes([RedditPost, RedditComment])

    assert (sizes[RedditPost].rows, sizes[RedditPost].is_exact) == (2, True)
    assert (sizes[RedditComment].rows, sizes[RedditComment].is_exact) == (1, True)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no estimate")
def test_big_tables_are_estimated_without_being_read(monkeypatch, django_assert_num_queries):
    for _ in range(5):
        factories.post()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scraping_redditpost")
    factories.post()
    monkeypatch.setattr(estimates, "COUNTED_ROWS_MAX", 3)

    with django_assert_num_queries(1):
        size = table_sizes([RedditPost])[RedditPost]

    assert (size.rows, size.is_exact) == (5, False)
    assert size.bytes > 0


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no estimate")
def test_a_table_nobody_has_analysed_is_counted_up_to_the_bound(monkeypatch):
    for _ in range(5):
        factories.post()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_class SET reltuples = -1 WHERE relname = 'scraping_redditpost'")
    monkeypatch.setattr(estimates, "COUNTED_ROWS_MAX", 3)

    size = table_sizes([RedditPost])[RedditPost]

    assert (size.rows, size.is_exact) == (4, False)
