import pytest
from django.db import connection

from database.parallel import without_parallel_workers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite uses one core")
def test_queries_inside_use_one_core_and_those_after_as_many_as_before():
    def workers():
        with connection.cursor() as cursor:
            cursor.execute("SHOW max_parallel_workers_per_gather")
            return cursor.fetchone()[0]

    before = workers()
    with without_parallel_workers():
        assert workers() == "0"

    assert workers() == before != "0"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL needs a transaction for the setting")
def test_on_sqlite_no_transaction_locks_out_the_writers():
    with without_parallel_workers():
        assert not connection.in_atomic_block
