"""Reads that are given up, on the real database."""

import threading

import pytest
from django.db import connection, transaction

from database.deadlines import Superseded, TooSlow, superseding, within

pytestmark = pytest.mark.django_db(transaction=True)
# Takes a minute and more.
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n"


def read(sql="SELECT 1"):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_reads_in_time_are_answered():
    with within(60):
        assert read() == 1


def test_reads_that_take_too_long_are_given_up_and_the_connection_goes_on():
    with pytest.raises(TooSlow), within(0.05):
        read(LONG)

    assert read() == 1


def read_on_and_on():
    while True:
        read(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT count(*) FROM n"
        )


def test_the_time_is_that_of_all_reads_together():
    with pytest.raises(TooSlow), within(0.2):
        read_on_and_on()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite knows no such setting")
def test_a_limit_of_the_transaction_around_it_holds_again_afterwards():
    with transaction.atomic():
        read("SET LOCAL statement_timeout = 54321; SELECT 1")
        with within(60):
            read()
        assert read("SHOW statement_timeout") == "54321ms"


def test_who_asks_again_gives_up_the_reads_before():
    ended = []
    is_ready = threading.Event()

    def ask():
        try:
            with superseding("plan of x by 1"):
                is_ready.set()
                read(LONG)
        except Superseded:
            ended.append("superseded")
        finally:
            connection.close()

    first = threading.Thread(target=ask)
    first.start()
    assert is_ready.wait(30)

    while first.is_alive():
        with superseding("plan of x by 1"):
            assert read() == 1
        first.join(0.05)

    assert ended == ["superseded"]


def test_other_reads_go_on():
    with superseding("plan of x by 1"), superseding("plan of x by 2"):
        assert read() == 1
