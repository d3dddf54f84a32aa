"""A purge with each fault that may hinder it: how it ends, which cause it names, and which rows survive.

``make soak`` runs them with 160,000 rows and prints the table. The delays between attempts are skipped.
"""

import contextlib
import time

import psycopg2
import pytest
from django.db import Error, connection
from django.db.backends.signals import connection_created
from django.utils import timezone

from bench import harness
from maintenance.ledger import performing, requests, run_json
from maintenance.models import JobRun
from maintenance.purging import batches
from scraping.models import RedditComment, RedditPost
from tests.kit import factories
from tests.soak import IS_SOAK, size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's faults")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's faults")
TO_DELETE = size(1_500, 80_000)  # posts, with a comment each
SURVIVORS = 100
ATTEMPTS_MAX = 8


@pytest.fixture(scope="module")
def table(request):
    """The lines of the table, printed at the end of a soak."""
    lines = []
    yield lines
    if IS_SOAK:
        plugins = request.config.pluginmanager
        columns = ("drill", "ends of the attempts", "left after each", "cause")
        with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
            for line in [columns, *lines]:
                plugins.get_plugin("terminalreporter").write_line(" | ".join(line))


@pytest.fixture(autouse=True)
def world(monkeypatch, settings):
    settings.PURGE_CAP_SHARE, settings.PURGE_THROTTLE = 1.0, 1.0
    settings.PURGE_CAP_ROWS = 1_000_000
    if not IS_SOAK:
        monkeypatch.setattr(batches, "TRY_AGAIN_SECONDS", 0.3)
        monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 150)
    harness.fill_content(posts=TO_DELETE + SURVIVORS, comments_per_post=1, expired=TO_DELETE)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE scraping_redditpost; ANALYZE scraping_redditcomment")


def drill(table, name, *, lasts=None, lift=lambda: None):
    """Run the purge with all its attempts; ``lift`` ends the fault after ``lasts`` seconds."""
    run = requests.request_run(job="purge_old_content", trigger="command", send=False)
    began, skipped, ends, left, causes = time.monotonic(), 0.0, [], [], []
    for _ in range(ATTEMPTS_MAX):
        with contextlib.suppress(Error):
            performing.perform(run)
        run.refresh_from_db()
        ends.append(run.status)
        left.append(RedditPost.objects.count() - SURVIVORS)
        assert RedditComment.objects.count() == left[-1] + SURVIVORS
        causes.append(f"{run.get_reason_display() if run.reason else ''} {run.message} {run.error}".strip())
        following = JobRun.objects.filter(retry_of=run).first()
        if following is None:
            break
        skipped += max(0.0, ((following.not_before or timezone.now()) - timezone.now()).total_seconds())
        if lasts is not None and time.monotonic() - began + skipped >= lasts:
            lift()
        JobRun.objects.filter(pk=following.pk).update(not_before=None)
        run = JobRun.objects.get(pk=following.pk)
    table.append((name, ", ".join(ends), ", ".join(map(str, left)), causes[0]))
    totals = run_json.totals(run)
    assert (
        totals.get("scraping.RedditPost", 0)
        == totals.get("scraping.RedditComment", 0)
        == TO_DELETE - left[-1]
    )
    return ends, left, causes


@on_postgresql
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_row_is_locked_for_110_seconds(table, place):
    pk = {"first": 1, "middle": TO_DELETE // 2, "last": TO_DELETE}[place]
    with contextlib.closing(psycopg2.connect(factories.database_url())) as holder:
        holder.cursor().execute("SELECT 1 FROM scraping_redditpost WHERE id = %s FOR UPDATE", [pk])
        ends, left, causes = drill(table, f"{place} row locked for 110 s", lasts=110, lift=holder.rollback)

        assert (ends, left) == (["partial", "partial", "succeeded"], [1, 1, 0])
        assert f"locked by session {holder.info.backend_pid} (" in causes[0]


@on_postgresql
def test_statements_may_take_25_ms(table):
    timeout = size(250, 25)

    def hurry(connection, **_):
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = %s", [timeout])

    connection.close()
    connection_created.connect(hurry)
    try:
        ends, left, _causes = drill(table, f"statement_timeout of {timeout} ms")
    finally:
        connection_created.disconnect(hurry)
        connection.close()

    assert (ends[-1], left[-1]) == ("succeeded", 0)


@on_postgresql
def test_the_database_takes_no_writes_for_30_seconds(table, monkeypatch):
    faults = {}
    attempt = batches._Batches._attempt

    def close(connection, **_):
        with connection.cursor() as cursor:
            is_closed = time.monotonic() < faults.get("until", 0)
            cursor.execute("SET default_transaction_read_only = %s", [is_closed])

    def begin(self, *args, **options):
        if self._gone and not faults:
            faults["until"] = time.monotonic() + size(1.5, 30)
            close(connection)
        return attempt(self, *args, **options)

    monkeypatch.setattr(batches._Batches, "_attempt", begin)
    connection_created.connect(close)
    try:
        ends, left, causes = drill(table, f"read-only for {size(1.5, 30)} s")
    finally:
        connection_created.disconnect(close)
        connection.close()

    assert ends == ["interrupted", "succeeded"]
    assert 0 == left[1] < left[0] < TO_DELETE
    assert causes[0].startswith("the database took no writes")


@on_postgresql
@pytest.mark.parametrize(
    ("code", "end", "cause"),
    [
        ("53100", "failed", "the database has no room left"),
        ("40001", "partial", "the database did not grant a lock"),
    ],
)
def test_a_commit_fails(table, code, end, cause, monkeypatch):
    """It fails whenever the row in the middle is in the batch."""
    monkeypatch.setattr(batches, "REFUSED_SECONDS", 0.01)
    with connection.cursor() as cursor:
        cursor.execute(f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'it said no' USING ERRCODE = '{code}'; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER DELETE ON scraping_redditpost
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.id = {TO_DELETE // 2}) EXECUTE FUNCTION refuse();
        """)
    try:
        ends, left, causes = drill(table, f"commit fails with {code}")
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse ON scraping_redditpost; DROP FUNCTION refuse()")

    assert ends[-1] == end
    assert 0 < left[-1] <= TO_DELETE
    assert cause in causes[0]


@on_sqlite
def test_the_disk_is_full_for_a_while(table):
    """Each deleted post needs room elsewhere."""
    full = {"pages": 4_294_967_294}

    def limit(connection, **_):
        connection.connection.execute(f"PRAGMA max_page_count = {full['pages']}")

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE ballast (weight BLOB)")
        cursor.execute(
            "CREATE TRIGGER heavy AFTER DELETE ON scraping_redditpost"
            " BEGIN INSERT INTO ballast VALUES (zeroblob(5000)); END"
        )
        cursor.execute("VACUUM")  # without free pages, which could be reused
        full["pages"] = cursor.execute("PRAGMA page_count").fetchone()[0] + size(700, 7_000)

    def make_room():
        full["pages"] = 4_294_967_294
        limit(connection)

    connection_created.connect(limit)
    limit(connection)
    try:
        ends, left, causes = drill(table, "disk full for 8 s", lasts=8, lift=make_room)
    finally:
        make_room()
        connection_created.disconnect(limit)
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER heavy")
            cursor.execute("DROP TABLE ballast")

    assert (ends[-1], left[-1]) == ("succeeded", 0)
    assert {*ends[:-1]} == {"interrupted"}
    assert causes[0].startswith("the database has no room left")
