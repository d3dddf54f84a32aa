"""Totals count every finished run once, and survive the clean-up of the history."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database import clock
from maintenance.ledger import totals
from maintenance.models import JobRun, RunTotals
from tests.kit import factories

pytestmark = pytest.mark.django_db


def finished(seconds_ago, **fields):
    now = clock.now()
    ended = now - timedelta(seconds=seconds_ago)
    given = {
        "status": "succeeded",
        "started_at": ended - timedelta(seconds=7),
        "finished_at": ended,
        **fields,
    }
    return factories.job_run(**given)


@pytest.fixture
def since_an_hour():
    """A first reader, an hour ago."""
    totals.counted()
    RunTotals.objects.update(counted_to=clock.now() - timedelta(hours=1))


def test_the_first_reader_begins_to_count():
    finished(60)

    assert not totals.counted().runs


def test_every_finished_run_is_counted_once(since_an_hour):
    run = finished(60, counts={"scraping.RedditPost": 5, "posts_new": 2})
    finished(50, status="failed", counts={"scraping.RedditPost": 1})
    finished(40, dry_run=True, counts={"scraping.RedditPost": 900})
    factories.job_run(status="queued")

    for _ in range(3):
        found = totals.counted()

    assert found.runs == {(run.job, "succeeded", "command"): 2, (run.job, "failed", "command"): 1}
    assert found.counts == {"scraping.RedditPost": 6, "posts_new": 2}
    assert found.durations[run.job].runs[2] == 1  # from 5 to 15 seconds
    assert found.durations[run.job].seconds == pytest.approx(7)


def test_totals_survive_the_history(since_an_hour):
    finished(60)
    before = totals.counted()
    JobRun.objects.all().delete()

    assert totals.counted() == before


def test_a_run_that_has_just_ended_is_left_for_the_next_reader(since_an_hour):
    run = finished(1)
    assert not totals.counted().runs

    JobRun.objects.filter(pk=run.pk).update(finished_at=clock.now() - totals.SETTLED_AFTER)
    assert sum(totals.counted().runs.values()) == 1


def test_a_long_silence_is_caught_up_with(since_an_hour, monkeypatch):
    monkeypatch.setattr(totals, "RUNS_A_READ", 2)
    for ago in (60, 60, 60, 60, 50):
        finished(ago)

    assert [sum(totals.counted().runs.values()) for _ in range(4)] == [2, 4, 5, 5]


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(st.integers(20, 40), max_size=12), st.integers(1, 5))
def test_equal_ends_and_any_order_of_ids_lose_none(ends, a_read):
    """Runs end at the same moment and in another order than they were requested in."""
    JobRun.objects.all().delete()
    RunTotals.objects.all().delete()
    totals.counted()
    RunTotals.objects.update(counted_to=clock.now() - timedelta(hours=1), counted_to_run=0)
    now = clock.now()
    for ago in ends:
        run = finished(60)
        JobRun.objects.filter(pk=run.pk).update(finished_at=now - timedelta(seconds=ago))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(totals, "RUNS_A_READ", a_read)
        for _ in range(len(ends) + 1):
            found = totals.counted()

    assert sum(found.runs.values()) == len(ends)
