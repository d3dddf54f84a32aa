"""Sizes of tables, exact while small and estimated when big."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from database import estimates
from database.estimates import share_since, table_sizes
from scraping.models import RedditComment, RedditPost
from tests.kit import factories

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
@pytest.mark.parametrize("reltuples", [-1, 2])
def test_a_table_nobody_has_analysed_since_it_grew_is_sampled(monkeypatch, reltuples):
    RedditPost.objects.bulk_create(factories.unsaved_post() for _ in range(500))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET reltuples = %s WHERE relname = 'scraping_redditpost'", [reltuples]
        )
    monkeypatch.setattr(estimates, "COUNTED_ROWS_MAX", 3)
    # All of them: earlier tests have left pages without rows.
    monkeypatch.setattr(estimates, "SAMPLE_PAGES", 1_000_000)

    size = table_sizes([RedditPost])[RedditPost]

    assert (size.rows, size.is_exact) == (500, False)


@pytest.mark.slow
@pytest.mark.parametrize("sample", [1_000, 20_000])
def test_the_share_of_a_table_is_told_without_reading_all_of_it(monkeypatch, sample):
    now = timezone.now()
    monkeypatch.setattr(estimates, "SAMPLE_ROWS", sample)
    posts = [factories.unsaved_post(checked_at=now) for _ in range(2_000)]
    RedditPost.objects.bulk_create(posts)

    def share():
        return share_since(RedditPost, "checked_at", now, rows=2_000)

    assert share() == 1
    RedditPost.objects.filter(pk__gt=posts[999].pk).update(checked_at=None)
    # SYSTEM takes whole pages of the table, some 40 rows each.
    assert share() == pytest.approx(
        0.5, abs=0.35 if sample < 2_000 and connection.vendor == "postgresql" else 0
    )
    RedditPost.objects.update(checked_at=now - timedelta(microseconds=1))
    assert share() == 0


def test_the_share_of_an_empty_table_is_nought():
    assert share_since(RedditPost, "checked_at", timezone.now(), rows=0) == 0
