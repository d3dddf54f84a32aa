"""The deletion of a run, from its plan to its verification."""

import re
from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from database.footprint import analyze, is_underestimated
from maintenance import context as contexts
from maintenance.ledger import decisions, performing, run_json
from maintenance.models import JobRun
from maintenance.purging import afterwards, batches
from scraping.models import RedditPost
from tests.kit import factories
from tests.kit.steps import ran, requested

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


def test_a_worker_that_is_told_to_exit_in_a_batch_counts_only_what_is_gone(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", 2)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)  # so few rows are stored on one page
    for _ in range(4):
        factories.post(created_at=timezone.now() - timedelta(days=100))
    record, recorded = JobRun.record, []

    def exit_in_the_second_batch(run, **values):
        kept = record(run, **values)
        recorded.extend(key for key in values if key == "cursor")
        if len(recorded) == 2:
            raise SystemExit
        return kept

    monkeypatch.setattr(JobRun, "record", exit_in_the_second_batch)
    run = requested("purge_old_content")
    with pytest.raises(SystemExit):
        performing.perform(run)

    run.refresh_from_db()
    assert run.status == Status.INTERRUPTED
    assert run.counts["scraping.RedditPost"] == 4 - RedditPost.objects.count() == 2


def test_an_operators_retention_decides():
    factories.retention_policy(job="purge_old_content", days=10)
    kept = factories.post(created_at=timezone.now() - timedelta(days=9))
    factories.post(created_at=timezone.now() - timedelta(days=11))

    ran("purge_old_content")

    assert list(type(kept).objects.all()) == [kept]


def old_post(**fields):
    return factories.post(created_at=timezone.now() - timedelta(days=100), **fields)


def test_a_dry_run_keeps_its_plan_and_a_real_run_the_one_it_started_with():
    factories.comment(post=old_post())

    dry, real = ran("purge_old_content", dry_run=True), ran("purge_old_content")

    for run in (dry, real):
        assert [(table["model"], table["rows"]) for table in run.plan["tables"]] == [
            ("scraping.RedditPost", 1),
            ("scraping.RedditComment", 1),
        ]
    assert [run.plan["tables"][0]["left"] for run in (dry, real)] == [None, 0]
    assert run_json.as_json(real)["plan"] == real.plan


def test_a_run_that_refers_to_a_plan_says_how_the_world_moved():
    old_post()
    dry = ran("purge_old_content", dry_run=True)
    old_post()

    run = ran("purge_old_content", shown=decisions.shown_by_run(dry.pk, job="purge_old_content", params={}))

    assert run.status == Status.SUCCEEDED
    assert (run.mandate["plan"], run.mandate["rows"]["scraping.RedditPost"]) == (dry.pk, 1)
    assert "Posts: 1 were planned, at the start there were 2." in [line.text for line in run.log_lines.all()]


@pytest.mark.slow
def test_the_next_attempt_goes_on_with_the_plan_of_the_first(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", 2)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)
    for _ in range(5):
        old_post()
    run = requested("purge_old_content")
    performing.perform(run, stopping=lambda: RedditPost.objects.count() < 5)
    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)

    performing.perform(attempt)

    attempt.refresh_from_db()
    assert attempt.plan["tables"][0]["rows"] == run.plan["tables"][0]["rows"] == 5
    assert (run.counts["scraping.RedditPost"], attempt.counts["scraping.RedditPost"]) == (2, 3)
    assert (attempt.progress_done, attempt.progress_total) == (3, 3)


@pytest.mark.slow
@pytest.mark.parametrize("has_crashed", [False, True], ids=["restarted", "crashed"])
def test_batches_that_were_undone_are_not_counted_though_the_row_cannot_be_read_at_once(
    monkeypatch, has_crashed
):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", 2)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)
    for _ in range(5):
        old_post()
    save, reread, saved, asked = contexts.JobContext.save_cursor, contexts.JobContext.reread, [], []

    def save_twice(context, **values):
        save(context, **values)
        saved.append(values)
        if len(saved) == 2:
            raise OperationalError("the server restarts")

    def be_away_once(context):
        asked.append(context)
        if len(asked) == 1:
            raise OperationalError("there is no server")
        if has_crashed:  # the server has lost the previous commit too, and the rows are back
            JobRun.objects.filter(pk=context.run.pk).update(counts={}, cursor=None, progress_done=0)
        reread(context)

    monkeypatch.setattr(contexts.JobContext, "save_cursor", save_twice)
    monkeypatch.setattr(contexts.JobContext, "reread", be_away_once)
    run = requested("purge_old_content")

    with pytest.raises(OperationalError):
        performing.perform(run)

    run.refresh_from_db()
    gone = 0 if has_crashed else 2
    assert (run.status, run.counts.get("scraping.RedditPost", 0), run.progress_done) == (
        Status.INTERRUPTED,
        gone,
        gone,
    )
    assert bool(run.cursor) != has_crashed
    assert RedditPost.objects.count() == 3


def leave_everything(monkeypatch):
    monkeypatch.setattr(batches, "delete_in_batches", lambda *_arguments, **_options: Counter())


def test_what_is_left_makes_the_run_partial(monkeypatch):
    leave_everything(monkeypatch)
    old_post()

    run = ran("purge_old_content")

    assert (run.status, run.message) == (Status.PARTIAL, "1 posts that should be gone are still there.")
    assert run.plan["tables"][0]["left"] == 1


def test_the_third_run_in_a_row_that_leaves_rows_warns_that_the_purge_is_too_slow(monkeypatch):
    leave_everything(monkeypatch)
    old_post()

    messages = [ran("purge_old_content").message for _ in range(3)]

    assert ["faster than the purge" in message for message in messages] == [False, False, True]


def test_rows_that_come_behind_the_walk_are_taken_by_a_second_one(monkeypatch):
    walk, late = batches.delete_in_batches, [old_post]

    def walk_and_let_one_in(*arguments, **options):
        gone = walk(*arguments, **options)
        if late:
            late.pop()()
        return gone

    monkeypatch.setattr(batches, "delete_in_batches", walk_and_let_one_in)
    old_post()
    survivor = factories.post()

    run = ran("purge_old_content")

    assert (run.status, run.counts["scraping.RedditPost"]) == (Status.SUCCEEDED, 2)
    assert list(RedditPost.objects.all()) == [survivor]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no such statistics")
def test_a_large_purge_renews_the_statistics_and_tells_what_the_tables_take(monkeypatch):
    monkeypatch.setattr(afterwards, "ANALYZE_ROWS_MIN", 3)
    for _ in range(3):
        old_post()
    factories.post()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scraping_redditpost")

    run = ran("purge_old_content")

    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'scraping_redditpost'")
        assert cursor.fetchone()[0] == 1
    (line,) = [line.text for line in run.log_lines.all() if "dead rows" in line.text]
    assert line.startswith("Posts: table ")
    # Earlier tests may have left dead rows.
    before, after = map(
        int, re.search(r"dead rows (?:(\d+) → )?(\d+); VACUUM", line.replace(",", "")).groups("0")
    )
    assert after - before == 3, line


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no such statistics")
def test_a_planner_that_knows_nothing_of_the_rows_is_told_first():
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scraping_redditpost")
    RedditPost.objects.bulk_create(
        factories.unsaved_post(created_at=timezone.now() - timedelta(days=100)) for _ in range(200)
    )
    rows = RedditPost.objects.created_before(timezone.now() - timedelta(days=90))

    assert is_underestimated(rows, 10**9)
    analyze([RedditPost])
    assert not is_underestimated(rows, 200)
