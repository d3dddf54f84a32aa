"""The database's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from database import clock
from database.clock import database_now
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def stopwatch(monkeypatch):
    """A stopwatch in hand, and no reading yet."""

    class Stopwatch:
        seconds = 100.0

    monkeypatch.setattr(clock, "_reading", None)
    monkeypatch.setattr("database.clock.time.clock_gettime", lambda _: Stopwatch.seconds)
    return Stopwatch


@pytest.fixture
def database_shows(monkeypatch):
    """What the database's clock shows when it is asked."""

    def show(moment):
        monkeypatch.setattr(clock, "database_now", lambda: moment)

    return show


def test_it_is_aware_and_about_now():
    assert abs(database_now() - timezone.now()) < timedelta(seconds=1)
    assert abs(clock.now() - timezone.now()) < timedelta(seconds=1)


def test_it_goes_on_within_a_transaction():
    with transaction.atomic():
        first = database_now()
        assert wait_until(lambda: database_now() > first, timeout=5, every=0.001)


def test_between_two_readings_a_stopwatch_carries_it_on(stopwatch, database_shows):
    database_shows(NOON)
    assert clock.now() == NOON

    database_shows(NOON + timedelta(hours=1))
    stopwatch.seconds += 4.9
    assert clock.now() == NOON + timedelta(seconds=4.9)
    stopwatch.seconds += 0.1
    assert clock.now() == NOON + timedelta(hours=1)


def test_what_asking_takes_never_turns_it_back(stopwatch, database_shows):
    database_shows(NOON)
    clock.now()

    stopwatch.seconds += 5
    database_shows(NOON + timedelta(seconds=4.99))
    assert clock.now() == NOON + timedelta(seconds=5)
    stopwatch.seconds += 5
    database_shows(NOON)  # it was set back
    assert clock.now() == NOON


def test_it_is_carried_on_while_the_database_is_away(stopwatch, database_shows, monkeypatch):
    database_shows(NOON)
    clock.now()

    def away():
        raise DatabaseError

    monkeypatch.setattr(clock, "database_now", away)
    stopwatch.seconds += 60
    assert clock.now() == NOON + timedelta(seconds=60)
    monkeypatch.setattr(clock, "_reading", None)
    with pytest.raises(DatabaseError):
        clock.now()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no clock but its host's")
def test_within_a_transaction_that_has_failed_it_goes_on():
    clock.now()
    with transaction.atomic():
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        clock._reading = clock._reading[0], clock._reading[1] - 60
        assert clock.now()
        transaction.set_rollback(True)


@pytest.mark.parametrize("seconds", [61, -61])
def test_a_host_that_is_more_than_a_minute_off_is_refused(database_shows, seconds):
    host = timezone.now()
    database_shows(host - timedelta(seconds=seconds))

    with pytest.raises(clock.ClockSkew) as refused:
        clock.refuse_skew()

    assert refused.value.database == host - timedelta(seconds=seconds)
    assert abs(refused.value.host - host) < timedelta(seconds=1)


@pytest.mark.parametrize("seconds", [58, -58])
def test_a_host_that_is_less_than_a_minute_off_is_not(database_shows, seconds):
    database_shows(timezone.now() - timedelta(seconds=seconds))

    clock.refuse_skew()
