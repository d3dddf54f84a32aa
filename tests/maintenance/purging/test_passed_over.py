"""A purge while other sessions hold locks: free rows are deleted; locked rows are named, and deleted soon after."""

import contextlib
import sqlite3
import threading
from datetime import timedelta

import psycopg2
import pytest
from django.db import connection
from django.utils import timezone

from maintenance import jobs
from maintenance.ledger import performing, requests, run_json
from maintenance.models import JobRun
from maintenance.purging import batches
from maintenance.purging.passed_over import PassedOver
from scraping.models import RedditComment, RedditPost
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite locks the database, not rows"
)
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows")
POSTS, SURVIVORS = 240, 5
POST, COMMENT = "scraping.RedditPost", "scraping.RedditComment"


@pytest.fixture(params=[2, 0], ids=["along the key", "over the table"])
def walk(request, monkeypatch):
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", request.param)


@pytest.fixture(autouse=True)
def short(monkeypatch, settings):
    settings.PURGE_CAP_SHARE = 1.0
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 150)
    monkeypatch.setattr(batches, "TRY_AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(batches, "REFUSED_SECONDS", 0.02)
    for name in ("BATCH_ROWS_FIRST", "BATCH_ROWS_MAX"):
        monkeypatch.setattr(batches, name, 60)


@pytest.fixture
def to_delete():
    """Old posts, oldest first, every second one with a comment; and some young ones, which survive."""
    old = timezone.now() - timedelta(days=200)
    posts = [factories.post(created_at=old + timedelta(minutes=number)) for number in range(POSTS)]
    for post in posts[::2]:
        factories.comment(post=post)
    for _ in range(SURVIVORS):
        factories.comment(post=factories.post())
    return posts


@contextlib.contextmanager
def session(*statements):
    """Open another session, and execute these statements in a transaction of it."""
    other = psycopg2.connect(factories.database_url(), application_name="forgotten psql")
    with contextlib.closing(other), other.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield other


def lock(model, *rows):
    pks = ", ".join(str(row.pk) for row in rows)
    return f"SELECT 1 FROM {model._meta.db_table} WHERE id IN ({pks}) FOR UPDATE"


def purged(run=None):
    run = run or requests.request_run(job="purge_old_content", trigger="command", send=False)
    performing.perform(run)
    run.refresh_from_db()
    return run


def next_attempt_of(run):
    attempt = JobRun.objects.get(retry_of=run)
    assert timezone.now() < attempt.not_before < timezone.now() + timedelta(minutes=2)
    JobRun.objects.filter(pk=attempt.pk).update(not_before=None)
    return attempt


def old_posts():
    return RedditPost.objects.filter(created_at__lt=timezone.now() - timedelta(days=90))


@on_postgresql
@pytest.mark.parametrize("places", [(0,), (0, 1, 2, 100, POSTS - 1)], ids=str)
def test_locked_rows_are_passed_over_named_and_taken_by_the_next_attempt(walk, to_delete, places):
    locked = [to_delete[place] for place in places]
    with session(lock(RedditPost, *locked)) as other:
        run = purged()
        pid = other.info.backend_pid

        assert set(old_posts()) == set(locked)
        assert RedditComment.objects.count() == SURVIVORS + sum(place % 2 == 0 for place in places)
        assert run.status == "partial"
        assert run.message.startswith(
            f"{len(places)} posts could not be deleted so far: locked by session {pid} ("
        )
        assert "forgotten psql, idle in transaction, " in run.message
        assert [table["left"] for table in run.plan["tables"]][:1] == [len(places)]
        again = next_attempt_of(run)

    last = purged(again)

    assert last.status == "succeeded"
    assert not old_posts().exists()
    assert RedditPost.objects.count() == RedditComment.objects.count() == SURVIVORS
    assert run_json.totals(last) == {POST: POSTS, COMMENT: POSTS // 2}


@on_postgresql
def test_a_locked_comment_keeps_its_post_and_only_that(walk, to_delete):
    comment = RedditComment.objects.get(post=to_delete[100])
    with session(lock(RedditComment, comment)) as other:
        run = purged()

        assert list(old_posts()) == [to_delete[100]]
        assert (
            f"1 posts could not be deleted so far: locked by session {other.info.backend_pid} " in run.message
        )
    assert purged(next_attempt_of(run)).status == "succeeded"
    assert not old_posts().exists()


@on_postgresql
def test_a_lock_that_is_let_go_before_the_end_costs_nothing(to_delete):
    with session(lock(RedditPost, to_delete[3])) as other:

        def let_go():
            wait_until(lambda: RedditPost.objects.count() < POSTS // 2, timeout=20, every=0.02)
            other.rollback()
            connection.close()

        thread = threading.Thread(target=let_go)
        thread.start()
        run = purged()
        thread.join()

    assert run.status == "succeeded"
    assert RedditPost.objects.count() == SURVIVORS


@on_postgresql
def test_a_lock_on_the_whole_table_is_waited_for_and_not_looked_for_row_by_row(to_delete):
    attempts = []
    with session("LOCK TABLE scraping_redditcomment IN SHARE MODE") as other:
        attempt = batches._Batches._attempt

        def counted(self, *args, **options):
            attempts.append(options)
            return attempt(self, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches._Batches, "_attempt", counted)
            run = purged()

        assert (run.status, old_posts().count()) == ("partial", POSTS)
        assert (
            f"{POSTS} posts could not be deleted so far: locked by session {other.info.backend_pid} "
            in run.message
        )
        # A busy machine needs a few more than twice the limit; row by row would be one for each of 240 posts.
        assert len(attempts) <= 3 * (batches.REFUSALS_MAX + 1) < POSTS
    assert purged(next_attempt_of(run)).status == "succeeded"


@on_postgresql
@pytest.mark.slow
def test_a_question_that_nobody_answers_in_time_is_asked_again_before_rows_are_looked_for(
    to_delete, monkeypatch
):
    look, asked, attempts = PassedOver._look, [], []

    def slow(self, pid, done):
        asked.append(pid)
        if len(asked) > 1:
            look(self, pid, done)

    monkeypatch.setattr(PassedOver, "_look", slow)
    attempt = batches._Batches._attempt

    def counted(self, *args, **options):
        attempts.append(options)
        return attempt(self, *args, **options)

    monkeypatch.setattr(batches._Batches, "_attempt", counted)
    with session("LOCK TABLE scraping_redditcomment IN SHARE MODE"):
        purged()

    assert len(attempts) <= 3 * (batches.REFUSALS_MAX + 1)


@on_postgresql
def test_more_locked_rows_than_are_looked_for_are_noted_together(to_delete, monkeypatch):
    monkeypatch.setattr(batches, "NARROWINGS_MAX", 3)
    monkeypatch.setattr(batches, "LOCATE_TIMEOUT_MS", 20)
    with session(lock(RedditPost, *to_delete[::8])):
        run = purged()

        assert run.status == "partial"
        assert set(to_delete[::8]) <= set(old_posts())
        assert run_json.totals(run).get(POST, 0) == POSTS - old_posts().count()
    assert purged(next_attempt_of(run)).status == "succeeded"
    assert RedditPost.objects.count() == SURVIVORS


@on_postgresql
def test_a_row_of_the_run_itself_that_is_locked_undoes_no_more_than_the_batch(to_delete):
    run = requests.request_run(job="purge_old_content", trigger="command", send=False)
    waits = []
    with session() as other, pytest.MonkeyPatch.context() as patch:
        wait = batches._Batches._wait

        def let_go(self):
            waits.append(1)
            other.rollback()
            return wait(self)

        patch.setattr(batches._Batches, "_wait", let_go)
        save = batches._Batches.__init__

        def lock_it(self, *args, **options):
            other.cursor().execute(lock(JobRun, run))
            save(self, *args, **options)

        patch.setattr(batches._Batches, "__init__", lock_it)
        purged(run)

    assert waits
    assert (run.status, run_json.totals(run)[POST]) == ("succeeded", POSTS)


@on_postgresql
def test_batches_keep_the_statement_timeout_and_become_small_enough_for_it(to_delete):
    """Each row takes 5 ms, so that a batch of 60 rows would exceed 150 ms."""
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.005); RETURN OLD; END $$;
            CREATE TRIGGER dawdle BEFORE DELETE ON scraping_redditpost FOR EACH ROW EXECUTE FUNCTION dawdle();
            SET statement_timeout = '150ms';
        """)
    try:
        run = purged()
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER dawdle ON scraping_redditpost; DROP FUNCTION dawdle()")

    assert (run.status, run_json.totals(run)[POST]) == ("succeeded", POSTS)
    assert RedditPost.objects.count() == SURVIVORS


@pytest.mark.slow
@on_sqlite
def test_a_process_that_writes_for_long_is_named(to_delete, monkeypatch):
    monkeypatch.setattr(batches, "REFUSALS_MAX", 2)
    name = connection.settings_dict["NAME"]
    patience = "PRAGMA busy_timeout = {}"
    other = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    between = []

    def take_turns(self, find, **options):
        between.append(find)
        if len(between) == 3:
            other.execute("BEGIN IMMEDIATE")
            connection.connection.execute(patience.format(50))
        return attempt(self, find, **options)

    def give_back(self, *args):
        with contextlib.suppress(sqlite3.OperationalError):
            other.execute("ROLLBACK")
        connection.connection.execute(patience.format(20_000))
        return matching(self, *args)

    from maintenance.purging.deletion import Deletion

    attempt, matching = batches._Batches._attempt, Deletion._matching
    monkeypatch.setattr(batches._Batches, "_attempt", take_turns)
    monkeypatch.setattr(Deletion, "_matching", give_back)
    with contextlib.closing(other):
        run = purged()
        assert run.status == "partial"
        assert 0 < old_posts().count() < POSTS
        assert (
            run.message
            == f"{old_posts().count()} posts could not be deleted so far: another process is writing."
        )
        between.append(None)
        last = purged(next_attempt_of(run))

    assert (last.status, RedditPost.objects.count()) == ("succeeded", SURVIVORS)
    assert run_json.totals(last) == {POST: POSTS, COMMENT: POSTS // 2}


def test_deletions_are_tried_again_long_before_their_next_slot():
    assert sum(jobs.RETRIES_OF_DELETION, timedelta()) < timedelta(hours=4)
