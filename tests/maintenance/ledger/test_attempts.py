"""What follows when an attempt ends before its work is done, and what it reports about the database."""

import contextlib
import sqlite3
import threading
import time
from datetime import timedelta

import pytest
from django.db import (
    Error,
    IntegrityError,
    InternalError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from database import errors
from maintenance import registry
from maintenance.ledger import performing, requests
from maintenance.ledger.attempts import PAUSES, attempts_without_progress, judge
from maintenance.models import JobRun
from maintenance.models.chain import attempts_before
from tests.full_disk import full_when_posts_are_deleted, leave_no_room, make_room
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's behaviour")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's behaviour")


@pytest.fixture
def impatient(monkeypatch):
    """Retry at once when the database refuses."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def chain(*ends):
    """Create ended attempts of a run, as (reason, cursor), and a running one after them with the last cursor."""
    run, cursor = None, None
    for number, (reason, cursor) in enumerate(ends, start=1):
        run = factories.job_run(
            status="interrupted",
            reason=reason,
            cursor=cursor,
            retry_of=run,
            attempt=number,
            job="cleanup_tokens",
        )
    return factories.job_run(
        status="running", cursor=cursor, retry_of=run, attempt=len(ends) + 1, job="cleanup_tokens"
    )


STOOD = ("time_limit", {"step": 1})


def test_the_attempts_before_a_run_are_read_with_one_query():
    run = JobRun.objects.get(pk=chain(STOOD, STOOD, STOOD, STOOD).pk)
    first = JobRun.objects.get(pk=chain().pk)

    with CaptureQueriesContext(connection) as queries:
        found = attempts_before(run)
        places = [(one.reason, one.cursor, one.status) for one in found]
        assert attempts_before(first) == []

    assert len(queries) == 1
    assert [one.attempt for one in found] == [4, 3, 2, 1]
    assert places == [(*STOOD, "interrupted")] * 4


def test_attempts_end_where_the_history_was_deleted():
    run = chain(STOOD, STOOD, STOOD)
    first, second, third = JobRun.objects.exclude(pk=run.pk).order_by("attempt")
    second.delete()

    assert [one.pk for one in attempts_before(JobRun.objects.get(pk=run.pk))] == [third.pk]
    assert JobRun.objects.filter(pk=first.pk).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "reason", "cursor", "number"),
    [
        ([], "time_limit", None, 1),
        ([], "time_limit", {"step": 1}, 0),
        ([], "time_limit", {"now": "2026-01-01T00:00:00+00:00"}, 1),
        ([("time_limit", None)], "worker_lost", None, 2),
        ([("time_limit", None), ("database_lost", None)], "terminated", None, 3),
        ([("time_limit", None), ("time_limit", None)], "time_limit", {"step": 1}, 0),
        # The first attempt moved the cursor, so it made progress.
        ([STOOD, STOOD], "time_limit", {"step": 1}, 2),
        ([("worker_stopped", None), ("waits", None)], "handed_on", None, 1),
        ([("time_limit", None), ("worker_stopped", None)], "time_limit", None, 2),
    ],
)
def test_attempts_that_end_where_they_began_are_counted_whatever_ended_them(ends, reason, cursor, number):
    run = chain(*ends)

    assert attempts_without_progress(run, reason=reason, cursor=cursor) == number


@pytest.mark.parametrize(("earlier", "pause"), [(0, PAUSES[0]), (1, PAUSES[1])])
def test_the_next_attempt_waits_a_while(earlier, pause):
    run = chain(*[("database_full", None)] * earlier)

    verdict = judge(run, reason="database_full", cursor=None)

    assert verdict.status == "interrupted"
    assert abs(verdict.not_before - timezone.now() - pause) < timedelta(seconds=2)


def test_the_third_is_the_last_and_says_why():
    run = chain(("database_full", None), ("database_full", None))

    verdict = judge(run, reason="database_full", cursor=None)

    assert (verdict.status, verdict.reason) == ("failed", "too_many_attempts")
    assert verdict.error.startswith("the database has no room left")


def test_a_worker_that_is_stopped_again_and_again_costs_a_run_nothing():
    run = chain(*[("worker_stopped", None)] * 9)

    assert judge(run, reason="worker_stopped", cursor=None).goes_on


def test_what_reports_progress_elsewhere_has_got_further(declare):
    def scrape(ctx):
        """Store the position in another table than that of runs."""
        ctx.within(1, 2, "bot").report(3)
        raise SystemExit

    slug = declare(scrape, keeps_its_place=True)
    run = request(slug)
    with pytest.raises(SystemExit):
        performing.perform(run)

    # It is saved with the progress, at most half a second later.
    run.refresh_from_db()
    assert (run.status, run.reason, run.cursor["reports"]) == ("interrupted", "terminated", 1)
    assert attempts_without_progress(run, reason="terminated", cursor=run.cursor) == 0


def test_a_time_limit_that_the_broker_could_not_bear_is_refused(declare):
    def work(ctx):
        """Work."""

    with pytest.raises(ValueError, match="at most 7,000 s"):
        declare(work, time_limit=timedelta(seconds=7_001))
    declare(work, time_limit=timedelta(seconds=7_000))
    assert registry.get_job("work").time_limit == timedelta(seconds=7_000)


def test_every_job_has_the_default_limit_unless_it_says_otherwise():
    assert registry.get_job("purge_old_content").time_limit == timedelta(hours=1)


# --- The database -----------------------------------------------------------------------------


def request(slug):
    return requests.request_run(job=slug, trigger="command", send=False)


def ended(slug):
    run = request(slug)
    with contextlib.suppress(Error):
        performing.perform(run)
    run.refresh_from_db()
    return run


SAID = [
    ("53100", "database_full"),
    ("55P03", "database_locked"),
    ("57014", "database_timeout"),
    ("25006", "database_read_only"),
    ("53200", "database_overloaded"),
    ("57P01", "database_lost"),
]


@on_postgresql
@pytest.mark.parametrize(("code", "reason"), SAID)
def test_a_run_says_what_the_database_said(declare, code, reason):
    def meet_it(ctx):
        """Meet an error of the database."""
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'it said' USING ERRCODE = '{code}'; END $$")

    run = ended(declare(meet_it))

    assert (run.status, run.reason) == ("interrupted", reason)
    assert "it said" in run.error
    assert "did not answer" not in run.get_reason_display() or reason == "database_lost"


@on_postgresql
@pytest.mark.parametrize("code", ["P0001", "23505", "42P01"])
def test_an_error_that_would_come_again_fails_at_once(declare, code):
    def meet_it(ctx):
        """Meet an error of the database."""
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'it said' USING ERRCODE = '{code}'; END $$")

    run = ended(declare(meet_it))

    assert (run.status, run.reason) == ("failed", "")
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_a_cursor_saved_in_a_transaction_that_fails_is_no_progress(declare):
    def fail_at_the_end(ctx):
        """Save the place, then fail to commit it."""
        with transaction.atomic():
            ctx.save_cursor(step=ctx.cursor.get("step", 0) + 1)
            raise OperationalError("the commit failed")

    run = request(declare(fail_at_the_end))
    for _ in range(3):
        with pytest.raises(OperationalError):
            performing.perform(run)
        run.refresh_from_db()
        JobRun.objects.filter(retry_of=run).update(not_before=None)
        last, run = run, JobRun.objects.filter(retry_of=run).first()

    assert run is None
    assert (last.status, last.reason, last.attempt, last.cursor) == ("failed", "too_many_attempts", 3, None)


@on_postgresql
def test_a_connection_lost_at_the_end_is_no_lost_worker(declare, impatient):
    def lose_it(ctx):
        """Be done, and have the session ended."""
        ctx.save_cursor(step=1)
        backend = connection.connection.get_backend_pid()
        other = connection.copy()
        with contextlib.closing(other), other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

    run = ended(declare(lose_it))

    assert (run.status, run.cursor["step"]) == ("succeeded", 1)


@on_postgresql
def test_a_database_that_takes_no_writes_for_a_while_is_no_lost_worker(declare, impatient):
    def have_it_closed(ctx):
        """Be done, and find the session read-only."""
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")

    assert ended(declare(have_it_closed)).status == "succeeded"


@on_postgresql
def test_what_meets_a_read_only_database_goes_on_later(declare, impatient):
    def have_it_closed(ctx):
        """Find the session read-only in the middle."""
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        ctx.save_cursor(step=1)

    run = ended(declare(have_it_closed))

    assert (run.status, run.reason) == ("interrupted", "database_read_only")


@on_postgresql
def test_a_batch_that_always_fails_at_its_commit_ends_after_three_attempts():
    factories.post(created_at=timezone.now() - timedelta(days=100))
    with full_when_posts_are_deleted():
        run, ends = request("purge_old_content"), []
        while run is not None:
            with pytest.raises(OperationalError):
                performing.perform(run)
            run.refresh_from_db()
            ends.append((run.status, run.reason))
            following = JobRun.objects.filter(retry_of=run)
            assert all(one.not_before > timezone.now() for one in following)
            following.update(not_before=None)
            last, run = run, following.first()

    assert ends == [("interrupted", "database_full")] * 2 + [("failed", "too_many_attempts")]
    assert "could not extend file" in last.error
    assert last.counts.get("scraping.RedditPost", 0) == 0


@on_sqlite
def test_a_full_disk_is_named_and_the_end_is_written_once_there_is_room(declare, impatient):
    room = {"pages": None}

    def limit(connection, **_):
        # None: as many pages as SQLite allows.
        connection.connection.execute(f"PRAGMA max_page_count = {room['pages'] or 4294967294}")

    def fill(ctx):
        """Write until there is no room left."""
        leave_no_room(connection.connection)
        room["pages"] = None  # somebody frees space before the connection is opened again
        for _ in range(100):
            ctx.log("x" * 10_000)

    connection_created.connect(limit)
    try:
        run = ended(declare(fill))
    finally:
        connection_created.disconnect(limit)
        connection.close()
        connection.ensure_connection()
        make_room(connection.connection)

    assert (run.status, run.reason) == ("interrupted", "database_full")
    assert "full" in run.error
    assert JobRun.objects.filter(retry_of=run).exists()


@pytest.mark.slow
@on_sqlite
def test_a_database_locked_at_the_end_is_no_lost_worker(declare):
    name = connections["default"].settings_dict["NAME"]
    locked = threading.Event()

    def hold():
        with contextlib.closing(sqlite3.connect(name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked.set()
            time.sleep(1.5)
            other.execute("ROLLBACK")

    def be_locked_out(ctx):
        """Be done while another process writes."""
        connection.connection.execute("PRAGMA busy_timeout = 10")
        holder.start()
        locked.wait()

    holder = threading.Thread(target=hold)
    run = ended(declare(be_locked_out))
    holder.join()

    assert run.status == "succeeded"


def test_causes_are_told_from_errors_that_would_come_again():
    error = OperationalError("database or disk is full")
    error.__cause__ = sqlite3.OperationalError("database or disk is full")
    error.__cause__.sqlite_errorname = "SQLITE_FULL"
    assert errors.cause_of(error) == "full"
    error.__cause__.sqlite_errorname = "SQLITE_BUSY_SNAPSHOT"
    assert errors.cause_of(error) == "locked"
    error.__cause__.sqlite_errorname = "SQLITE_ERROR"
    assert errors.cause_of(error) is None
    assert errors.cause_of(IntegrityError()) is None
    assert errors.cause_of(InternalError()) is None
    assert errors.cause_of(ValueError()) is None
