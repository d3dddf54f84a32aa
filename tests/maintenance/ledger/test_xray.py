"""A look at a running run: five planted blockages, each told with who blocks and who waits, and nothing without a look."""

import contextlib
import threading
import time
from datetime import timedelta

import psycopg2
import pytest
from django.core.exceptions import PermissionDenied
from django.db import Error, OperationalError, connection
from django.urls import reverse

from database import clock
from database.sessions import without_texts
from maintenance.context import JobContext
from maintenance.ledger import heartbeat, performing, requests, xray
from maintenance.ledger.process_state import ProcessState
from maintenance.models import JobRun
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no sessions")
CANCEL, SEE = "maintenance.cancel_jobrun", "maintenance.view_jobrun"


@pytest.fixture
def other():
    """Open another session of the database; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def open_one():
            raw = psycopg2.connect(factories.database_url(), application_name="planted")
            stack.callback(raw.close)
            return raw, raw.cursor()

        yield open_one


@pytest.fixture
def running(declare, monkeypatch):
    """Perform a run that executes this statement, in a thread; its statement is cancelled at the end."""
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.05)
    threads = []

    def begin(sql, *, before=""):
        def work(ctx):
            """Execute the statement."""
            with contextlib.suppress(Error), connection.cursor() as cursor:
                if before:
                    cursor.execute("BEGIN; " + before)
                cursor.execute(sql)

        work.__name__ = f"work{len(threads)}"  # two jobs need two names
        run = requests.request_run(job=declare(work), trigger="command", send=False)

        def perform():
            try:
                performing.perform(run)
            except Error:
                pass  # the transaction that a test has broken
            finally:
                connection.close()

        threads.append(threading.Thread(target=perform))
        threads[-1].start()
        return JobRun.objects.get(pk=run.pk)

    yield begin
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for thread in threads:
        thread.join(20)


def looked(run, until):
    """Look until this is so; the last look must have been quick."""
    person = factories.user(CANCEL, SEE)

    def look():
        run.refresh_from_db()
        began = time.monotonic()
        found = xray.look(run, by=person)
        assert time.monotonic() - began < 3
        return found if found.session and until(found) else None

    return wait_until(look, timeout=20)


def pids(seen):
    return [one.session.pid for one in seen]


# --- Five blockages ------------------------------------------------------------------------------


@on_postgresql
def test_a_row_that_a_forgotten_transaction_holds(running, other):
    post = factories.post()
    raw, cursor = other()
    cursor.execute("SELECT id FROM scraping_redditpost WHERE id = %s FOR UPDATE", [post.pk])

    found = looked(
        running(f"UPDATE scraping_redditpost SET title = 'secret' WHERE id = {post.pk}"), lambda x: x.blockers
    )

    assert pids(found.blockers) == [raw.info.backend_pid]
    assert found.blockers[0].session.state == "idle in transaction"
    assert found.blockers[0].session.application == "planted"
    assert (found.session.wait_type, found.blocked) == ("Lock", ())
    assert found.session.sql == f"UPDATE scraping_redditpost SET title = '…' WHERE id = {post.pk}"


@on_postgresql
def test_a_table_that_is_locked(running, other):
    raw, cursor = other()
    cursor.execute("LOCK TABLE scraping_redditcomment IN ACCESS EXCLUSIVE MODE")

    found = looked(running("SELECT count(*) FROM scraping_redditcomment"), lambda x: x.blockers)

    assert pids(found.blockers) == [raw.info.backend_pid]
    assert found.session.wait_event == "relation"


@on_postgresql
def test_an_advisory_lock_of_an_idle_session(running, other):
    raw, cursor = other()
    raw.autocommit = True
    cursor.execute("SELECT pg_advisory_lock(77)")

    found = looked(running("SELECT pg_advisory_lock(77)"), lambda x: x.blockers)

    assert pids(found.blockers) == [raw.info.backend_pid]
    assert found.blockers[0].session.state == "idle"


@on_postgresql
def test_a_chain_is_told_to_its_root(running, other):
    post, another = factories.post(), factories.post()
    root, root_cursor = other()
    middle, middle_cursor = other()
    lock = "SELECT id FROM scraping_redditpost WHERE id = %s FOR UPDATE"
    root_cursor.execute(lock, [post.pk])
    middle_cursor.execute(lock, [another.pk])

    def wait():
        with contextlib.suppress(psycopg2.Error):
            middle_cursor.execute(lock, [post.pk])

    waiter = threading.Thread(target=wait)
    waiter.start()
    try:
        found = looked(
            running(f"UPDATE scraping_redditpost SET score = 1 WHERE id = {another.pk}"),
            lambda x: len(x.blockers) == 2,
        )
        assert pids(found.blockers) == [middle.info.backend_pid, root.info.backend_pid]
    finally:
        root.rollback()
        waiter.join(10)


@on_postgresql
def test_whom_a_run_blocks_and_which_run_that_is(running, other):
    post = factories.post()
    first = running(
        "SELECT pg_sleep(30)", before=f"SELECT id FROM scraping_redditpost WHERE id = {post.pk} FOR UPDATE"
    )
    looked(first, lambda x: "pg_sleep" in x.session.sql)
    second = running(f"UPDATE scraping_redditpost SET score = 2 WHERE id = {post.pk}")

    found = looked(first, lambda x: x.blocked)
    assert [one.run.pk for one in found.blocked] == [second.pk]
    assert found.blockers == ()
    assert found.session.statement_for.total_seconds() > 0
    back = looked(second, lambda x: x.blockers)
    assert [one.run.pk for one in back.blockers] == [first.pk]


# --- Who, and at what cost -----------------------------------------------------------------------


@on_postgresql
def test_the_page_shows_it_to_who_may_cancel(client, running, other):
    raw, cursor = other()
    cursor.execute("LOCK TABLE scraping_redditcomment IN ACCESS EXCLUSIVE MODE")
    run = running("SELECT count(*) FROM scraping_redditcomment")
    looked(run, lambda x: x.blockers)
    client.force_login(factories.user(CANCEL, SEE))
    address = reverse("admin:maintenance_jobrun_xray", args=[run.pk])

    page = client.get(address).content.decode()
    part = client.get(address, headers={"HX-Request": "true"}).content.decode()

    assert address in client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    for text in (page, part):
        assert str(raw.info.backend_pid) in text
        assert "SELECT count(*) FROM scraping_redditcomment" in text
    assert "<html" in page
    assert "<html" not in part


def test_who_may_only_see_runs_may_not_look(client):
    run, person = factories.job_run(status="running"), factories.user(SEE)
    client.force_login(person)

    with pytest.raises(PermissionDenied):
        xray.look(run, by=person)
    address = reverse("admin:maintenance_jobrun_xray", args=[run.pk])
    assert client.get(address).status_code == 403
    assert (
        address not in client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    )


@on_postgresql
def test_a_session_that_began_after_the_run_is_somebody_elses(other):
    raw, _ = other()
    run = factories.job_run(status="running", backend_pid=raw.info.backend_pid)
    long_ago = run.started_at.replace(year=run.started_at.year - 1)
    JobRun.objects.filter(pk=run.pk).update(started_at=long_ago, heartbeat_at=long_ago)
    run.refresh_from_db()

    assert "not known" in xray.look(run, by=factories.user(CANCEL)).database_fault


@pytest.mark.parametrize("status", ["queued", "succeeded"])
def test_a_run_that_does_not_run_has_nothing_to_show(status):
    assert xray.look(factories.job_run(status=status), by=factories.user(CANCEL)).fault


def test_claims_and_heartbeats_cost_no_query_more(django_assert_num_queries):
    run = factories.job_run(status="queued")
    run.worker = "me"

    with django_assert_num_queries(1):
        assert run.claim(worker="me")
    with django_assert_num_queries(1):
        assert run.beat(backend_pid=5)
    assert JobRun.objects.get(pk=run.pk).backend_pid == 5


# --- The state of the process --------------------------------------------------------------------


@pytest.fixture
def beating():
    """A running run, and the turn of its heartbeat's thread as a function, whose heartbeat is always due."""
    run = factories.job_run(status="running")
    context = JobContext(run=run, params={}, dry_run=False)
    thread = heartbeat.Heartbeat(context, end=lambda reason, where: False)

    def turn():
        thread._beaten_at -= 60
        thread._turn(run)
        run.refresh_from_db()

    return run, turn


def test_a_heartbeat_costs_the_same_two_statements_watched_or_not(beating, django_assert_num_queries):
    run, turn = beating
    refresh = 1

    with django_assert_num_queries(2 + refresh):
        turn()
    assert run.process_state is None
    run.watch()
    with django_assert_num_queries(2 + refresh):
        turn()
    assert run.process_state
    assert run.process_state["threads"][0]["frames"]


def test_nothing_is_taken_of_the_process_while_nobody_watches(beating, monkeypatch):
    monkeypatch.setattr(ProcessState, "as_json", lambda self: pytest.fail("taken"))
    run, turn = beating

    turn()
    JobRun.objects.filter(pk=run.pk).update(watched_until=clock.now() - timedelta(seconds=1))
    turn()

    assert run.process_state is None


def test_a_watched_run_beats_more_often_and_then_as_before(beating, settings):
    settings.HEARTBEAT_SECONDS = 60.0
    run, turn = beating
    run.watch()
    turn()
    told = run.process_state
    JobRun.objects.filter(pk=run.pk).update(watched_until=clock.now() - timedelta(seconds=1))
    turn()

    assert told
    assert run.process_state is None  # nothing old is shown later


def test_whoever_looks_asks_the_worker_and_asks_again_before_that_ends(django_assert_num_queries):
    run, person = factories.job_run(status="running"), factories.user(CANCEL, SEE)

    assert xray.look(run, by=person).process is None
    run.refresh_from_db()
    first = run.watched_until
    assert first > clock.now() + timedelta(seconds=10)
    assert run.watch() is False
    JobRun.objects.filter(pk=run.pk).update(watched_until=clock.now() + timedelta(seconds=5))
    assert run.watch() is True
    run.refresh_from_db()
    assert run.watched_until >= first


@pytest.mark.parametrize("status", ["queued", "succeeded", "blocked"])
def test_a_run_that_does_not_run_cannot_be_asked(status):
    assert factories.job_run(status=status).watch() is False


def test_the_page_says_what_the_worker_told(client):
    state = {
        "threads": [
            {"name": "", "frames": ["maintenance/jobs.py:7 work"]},
            {"name": "scrape_0", "frames": ["scraping/sessions/scrape.py:70 walk"]},
        ],
        "memory": 200 * 2**20,
        "grown": 30 * 2**20,
    }
    run = factories.job_run(status="running", process_state=state)
    client.force_login(factories.user(CANCEL, SEE))

    address = reverse("admin:maintenance_jobrun_xray", args=[run.pk])
    page = client.get(address).content.decode()

    assert address in client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    for text in ("maintenance/jobs.py:7 work", "Thread scrape_0", "scrape.py:70 walk"):
        assert text in page
    assert "The process uses 200.0\xa0MB of memory" in page
    assert "it has grown by 30.0\xa0MB" in page


@pytest.mark.parametrize("state", [None, {}, {"threads": 5}, {"threads": [{}], "memory": 1, "grown": 1}, [1]])
def test_what_the_worker_did_not_tell_is_called_so(client, state):
    run = factories.job_run(status="running")
    JobRun.objects.filter(pk=run.pk).update(process_state=state)
    client.force_login(factories.user(CANCEL, SEE))

    page = client.get(reverse("admin:maintenance_jobrun_xray", args=[run.pk]))

    assert page.status_code == 200
    assert "Not told yet." in page.content.decode()


def test_a_database_that_takes_no_writes_still_shows_the_page(client, monkeypatch):
    def refuse(self):
        raise OperationalError("read-only")

    monkeypatch.setattr(JobRun, "watch", refuse)
    assert not xray.look(factories.job_run(status="running"), by=factories.user(CANCEL)).fault


@on_postgresql
def test_a_locked_run_is_neither_waited_for_nor_asked(other):
    run = factories.job_run(status="running")
    _, cursor = other()
    cursor.execute("SELECT id FROM maintenance_jobrun WHERE id = %s FOR UPDATE", [run.pk])

    began = time.monotonic()
    assert run.watch() is False
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 'a', 1", "SELECT '…', 1"),
        ("SELECT 'it''s', E'x'", "SELECT '…', E'…'"),
        ("UPDATE t\n  SET a = 'cut here", "UPDATE t SET a = '…'"),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_texts_in_statements_are_not_shown(sql, shown):
    assert without_texts(sql) == shown
