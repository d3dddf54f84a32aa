import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from database.background import background_reads
from database.statement_timeout import limit_statements

pytestmark = pytest.mark.django_db(transaction=True)


def setting(name):
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return cursor.fetchone()[0]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite uses one core")
def test_queries_inside_use_one_core_and_those_after_as_many_as_before():
    name = "max_parallel_workers_per_gather"
    before = setting(name)
    with background_reads():
        assert setting(name) == "0"

    assert setting(name) == before != "0"


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite uses one core")
def test_a_block_inside_another_asks_nothing_and_ends_nothing(django_assert_num_queries):
    with background_reads():
        with django_assert_num_queries(0), background_reads():
            pass
        assert setting("max_parallel_workers_per_gather") == "0"
    with django_assert_num_queries(3), background_reads():  # with BEGIN and COMMIT
        pass


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no such limit")
def test_queries_inside_have_a_limit_of_their_own_except_in_the_web():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '25ms'")
        with background_reads():
            assert setting("statement_timeout") == "30min"
        assert setting("statement_timeout") == "25ms"
    finally:
        connection.close()

    limit_statements(20)
    try:
        with background_reads():
            assert setting("statement_timeout") == "20s"
    finally:
        limit_statements(0)
        connection_created.disconnect(dispatch_uid="database.statement_timeout")
        connection.close()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL needs a transaction for the setting")
def test_on_sqlite_no_transaction_locks_out_the_writers():
    with background_reads():
        assert not connection.in_atomic_block
