"""A purge with a ``statement_timeout`` that is meant for other statements."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from django.utils import timezone

from maintenance.ledger import performing, requests
from maintenance.purging import afterwards, deletion
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no statement_timeout"),
]
TIMEOUT_MS = 250
READS = ("AS MATERIALIZED", "COUNT(", "ANALYZE", "pg_table_size")


@pytest.fixture
def hurried():
    """A short timeout for each connection of this process; other statements of the test are faster."""

    def set_timeout(connection, **_):
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = %s", [TIMEOUT_MS])

    connection_created.connect(set_timeout)
    connection.close()
    yield
    connection_created.disconnect(set_timeout)
    connection.close()


def test_plan_check_and_verification_may_take_longer(hurried, monkeypatch):
    """Reads of the purge's tables take twice as long as a statement may."""
    monkeypatch.setattr(afterwards, "ANALYZE_ROWS_MIN", 1)
    monkeypatch.setattr(deletion, "is_underestimated", lambda queryset, rows: True)
    factories.post(created_at=timezone.now() - timedelta(days=100))
    survivor = factories.post()
    factories.comment(post=survivor)
    slowed = []

    def slow(execute, sql, params, many, context):
        is_read = any(part in sql for part in READS)
        if is_read and "scraping_reddit" in sql + repr(params) and not sql.startswith("DELETE"):
            slowed.append(sql)
            context["cursor"].cursor.execute(f"SELECT pg_sleep({2 * TIMEOUT_MS / 1000})")
        return execute(sql, params, many, context)

    run = requests.request_run(job="purge_old_content", trigger="command", send=False)
    with connection.execute_wrapper(slow):
        performing.perform(run)
    run.refresh_from_db()

    assert (run.status, run.counts["scraping.RedditPost"]) == ("succeeded", 1)
    assert list(RedditPost.objects.all()) == [survivor]
    for part in READS:
        assert any(part in sql for sql in slowed), part
