"""Kept days never change a figure: random histories, read anew after runs end, begin, or are deleted."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from maintenance.ledger.comparison import Period, figures_in, figures_of_all
from maintenance.models import JobRun, RunsOfDay
from maintenance.models.statuses import FINAL, OPEN
from tests.kit import factories

pytestmark = pytest.mark.django_db
DAY, HOUR, TICK = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
NOW = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
FIRST = MIDNIGHT - 6 * DAY


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("database.clock.now", lambda: NOW)


def ran(at, minutes=1, **fields):
    return factories.job_run(
        **{"queued_at": at, "started_at": at, "finished_at": at + minutes * HOUR / 60, **fields}
    )


def statements(*periods, schedules=()):
    with CaptureQueriesContext(connection) as captured:
        figures_of_all(periods, schedules)
    return [query["sql"] for query in captured]


def reads_runs(found):
    return any('FROM "maintenance_jobrun"' in sql for sql in found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_the_figures_are_those_of_the_runs(seed):
    chance = random.Random(seed)
    tasks = [factories.schedule(name=f"s{number}") for number in range(3)]

    def moment():
        return (
            FIRST
            + chance.randint(0, 6) * DAY
            + chance.choice([-TICK, timedelta(0), TICK, 5 * HOUR, 20 * HOUR])
        )

    def run_at_random():
        status = chance.choice([*FINAL, *FINAL, *OPEN])
        at, is_open = moment(), status in OPEN
        task = chance.choice([None, *tasks])
        ran(
            at,
            chance.randint(0, 90),
            job=chance.choice(["cleanup_tokens", "cleanup_sessions"]),
            status=status,
            schedule=task,
            trigger="schedule" if task and chance.random() < 0.8 else "admin",
            dry_run=chance.random() < 0.1,
            attempt=chance.choice([1, 1, 2]),
            counts=chance.choice([{}, {"a.B": chance.randint(0, 9)}, {"slots_missed": 3}, {"note": "x"}]),
            **({"finished_at": None} if is_open else {}),
        )

    for _ in range(60):
        run_at_random()
    for _ in range(6):
        keys = chance.sample([task.pk for task in tasks], chance.randint(0, 3))
        starts = sorted([moment(), moment()]), sorted([moment(), NOW + HOUR])
        periods = [Period(*ends) for ends in starts]

        found = figures_of_all(periods, keys)

        assert found == [figures_in(period, JobRun.objects.all(), keys) for period in periods]
        for run in list(JobRun.objects.open())[:2]:
            JobRun.objects.filter(pk=run.pk).update(status="failed", finished_at=NOW)
        # Not both in one round: a day that lost as many runs as it gained would be taken for unchanged.
        if chance.random() < 0.5:
            run_at_random()
        else:
            JobRun.objects.filter(
                pk__in=[run.pk for run in chance.sample(list(JobRun.objects.all()), 3)]
            ).delete()


def test_whole_days_are_read_once():
    for number in range(7):
        ran(FIRST + number * DAY + HOUR)
    period = Period(FIRST, MIDNIGHT)

    assert reads_runs(statements(period))
    assert RunsOfDay.objects.count() == 6
    assert not reads_runs(statements(period))
    assert figures_of_all([period])[0]["cleanup_tokens", None].runs == 6


def test_this_day_and_a_day_with_an_open_run_are_not_kept():
    ran(MIDNIGHT + HOUR)
    ran(FIRST + HOUR, status="blocked", finished_at=None)
    ran(FIRST + DAY + HOUR)

    figures_of_all([Period(FIRST, NOW + DAY)])

    assert [row.day for row in RunsOfDay.objects.all()] == [(FIRST + DAY).date()]


def test_a_day_is_read_anew_when_its_number_of_runs_has_changed():
    gone, period = ran(FIRST + HOUR), Period(FIRST, FIRST + DAY)
    ran(FIRST + HOUR)
    figures_of_all([period])

    gone.delete()

    assert figures_of_all([period])[0]["cleanup_tokens", None].runs == 1
    assert RunsOfDay.objects.get().runs == 1


def test_a_new_schedule_reads_only_its_own_runs_of_kept_days():
    task = factories.schedule(name="new")
    ran(FIRST + HOUR, schedule=task, trigger="schedule")
    ran(FIRST + HOUR)
    period = Period(FIRST, FIRST + DAY)
    figures_of_all([period])

    reading = [sql for sql in statements(period, schedules=[task.pk]) if reads_runs([sql])]

    assert reading
    assert all('"schedule_id" IN' in sql.partition(" WHERE ")[2] for sql in reading)
    assert not reads_runs(statements(period, schedules=[task.pk]))
    assert figures_of_all([period], [task.pk])[0]["cleanup_tokens", task.pk].runs == 1


def test_a_database_that_takes_no_writes_shows_the_figures_all_the_same(monkeypatch, caplog):
    ran(FIRST + HOUR)

    def full(*_arguments, **_named):
        raise DatabaseError("disk full")

    monkeypatch.setattr(type(RunsOfDay.objects.all()), "bulk_create", full)

    assert figures_of_all([Period(FIRST, FIRST + DAY)])[0]["cleanup_tokens", None].runs == 1
    assert "could not be stored" in caplog.text


def test_a_long_period_takes_as_many_statements_as_a_short_one():
    for number in range(7):
        ran(FIRST + number * DAY + HOUR)
    short, long = Period(MIDNIGHT - DAY - HOUR, NOW), Period(FIRST + HOUR, NOW)

    assert len(statements(short)) == len(statements(long))
    assert len(statements(short)) == len(statements(long))
