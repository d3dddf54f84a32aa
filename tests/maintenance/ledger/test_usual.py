"""What is usual: percentiles of recent real runs of one kind, with one query."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from database import clock
from database.percentiles import percentile
from maintenance.admin.run_figures import pace, percent_done
from maintenance.ledger.usual import Usual, kind_of, usual_of, usual_of_each, usual_of_kinds
from maintenance.models import JobRun
from maintenance.registry import get_job
from tests.kit import factories

MINUTE = timedelta(minutes=1)
TIMES = st.lists(st.timedeltas(timedelta(0), timedelta(days=2)), min_size=1, max_size=60)
SHARES = st.floats(0.01, 1)


@given(TIMES, SHARES)
def test_a_percentile_is_the_shortest_time_that_so_large_a_share_does_not_exceed(times, share):
    found = percentile(sorted(times), share)

    def share_within(time):
        return sum(one <= time for one in times) / len(times)

    assert found in times
    assert share_within(found) >= share - 1e-9
    assert all(share_within(one) < share for one in times if one < found)


@given(TIMES, SHARES, SHARES)
def test_percentiles_grow_with_the_share_and_with_the_times(times, one, other):
    ordered, less, more = sorted(times), *sorted((one, other))

    assert percentile(ordered, less) <= percentile(ordered, more)
    assert percentile([time + MINUTE for time in ordered], one) == percentile(ordered, one) + MINUTE


@given(
    done=st.integers(0, 10**12),
    total=st.none() | st.integers(0, 10**12),
    taken=st.timedeltas(timedelta(0), timedelta(days=3)),
    usual=st.none() | st.timedeltas(timedelta(0), timedelta(days=1)).map(lambda time: Usual(time, 2 * time)),
)
def test_a_running_run_is_never_done_and_never_has_no_time_left(done, total, taken, usual):
    begun = clock.now() - taken
    run = JobRun(status="running", started_at=begun, progress_done=done, progress_total=total)

    percent, found = percent_done(run), pace(run, usual)

    assert percent is None or 0 <= percent <= 99
    assert found.left is None or found.left > timedelta()
    assert found.number >= 0
    assert found.is_longer == (usual is not None and run.duration > usual.p95)


def test_a_run_whose_worker_is_silent_promises_no_time_left():
    now, usual = clock.now(), Usual(10 * MINUTE, 20 * MINUTE)
    run = JobRun(
        status="running", started_at=now - MINUTE, progress_done=1, progress_total=4, heartbeat_at=now
    )
    heard = pace(run, usual)
    run.heartbeat_at = now - MINUTE
    silent = pace(run, usual)

    assert (heard.per, heard.left is None) == ("hour", False)
    assert (silent.per, silent.left) == ("", None)


def took(minutes, **fields):
    ended = clock.now()
    values = {"concurrency_key": "cleanup_tokens", **fields}
    return factories.job_run(started_at=ended - minutes * MINUTE, finished_at=ended, **values)


def going(**fields):
    return factories.job_run(**{"status": "running", "concurrency_key": "cleanup_tokens", **fields})


@pytest.mark.django_db
def test_only_real_runs_of_the_same_kind_that_succeeded_at_once_are_usual():
    for minutes in (5, 6, 9):
        took(minutes)
    took(60, status="failed")
    took(60, dry_run=True)
    took(60, attempt=2)
    took(60, params={"days": 3})
    for _number in range(4):
        took(60, concurrency_key="scrape_now:1")

    assert usual_of(going()) == Usual(6 * MINUTE, 9 * MINUTE)


@pytest.mark.django_db
def test_each_bot_has_a_usual_duration_of_its_own():
    for minutes in (1, 2, 3):
        took(minutes, concurrency_key="scrape_now:1")
        took(10 * minutes, concurrency_key="scrape_now:2")
    quick, slow = going(concurrency_key="scrape_now:1"), going(concurrency_key="scrape_now:2")
    new, dry = going(concurrency_key="scrape_now:3"), going(concurrency_key="", dry_run=True)

    with CaptureQueriesContext(connection) as queries:
        found = usual_of_each([quick, slow, new, dry])

    assert len(queries) == 1
    assert {pk: usual.p50 for pk, usual in found.items()} == {quick.pk: 2 * MINUTE, slow.pk: 20 * MINUTE}


@pytest.mark.django_db
def test_a_kind_has_the_same_figures_as_a_run_of_it():
    for minutes in (5, 6, 9):
        took(minutes)
        took(10 * minutes, concurrency_key="scrape_now:2", params={"config": 2})
    tokens, scrape = get_job("cleanup_tokens"), get_job("scrape_now")
    kinds = [kind_of(tokens, {}), kind_of(scrape, {"config": 2}), kind_of(tokens, {"days": 1}), None]

    with CaptureQueriesContext(connection) as queries:
        found = usual_of_kinds(kinds)

    assert len(queries) == 1
    assert found == [Usual(6 * MINUTE, 9 * MINUTE), Usual(60 * MINUTE, 90 * MINUTE), None, None]
    assert found[0] == usual_of(going())
    assert kind_of(scrape, {}) is None


@pytest.mark.django_db
def test_two_runs_say_nothing_and_a_run_is_not_compared_with_itself():
    runs = [took(minutes) for minutes in (5, 6, 9)]

    assert usual_of(runs[0]) is None
    assert usual_of(going()) is not None


@pytest.mark.django_db
def test_what_is_usual_is_read_with_the_index():
    took(1)
    with CaptureQueriesContext(connection) as queries:
        usual_of(going())
    (query,) = [
        one["sql"] for one in queries if "concurrency_key" in one["sql"] and "SELECT" in one["sql"][:9]
    ]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
        cursor.execute(explain + query)
        plan = str(cursor.fetchall())

    assert "jobrun_usual" in plan


@pytest.mark.slow
@pytest.mark.django_db
def test_the_page_of_a_run_compares_it_with_the_usual_and_promises_nothing(client, operator):
    for minutes in (5, 6, 9):
        took(minutes)
    run = going(started_at=clock.now() - 14 * MINUTE, progress_done=700, progress_total=700)
    address = reverse("admin:maintenance_jobrun_change", args=[run.pk])

    page = " ".join(client.get(address).content.decode().split())
    assert "usually 6 m 00 s (longest usual 9 m 00 s)" in page
    assert "longer than usual" in page
    assert "99% · 700 / 700" in page
    assert "50 per minute" in page
    assert " left" not in page

    run.record(progress_done=350)
    page = " ".join(client.get(address).content.decode().split())
    assert "50%" in page
    assert "25 per minute" in page
    assert "about 15 minutes left" in page or "about 14 minutes left" in page
