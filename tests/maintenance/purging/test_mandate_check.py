"""What stops or narrows a purge: growth over all attempts, a changed rule, an edit while it runs."""

import pytest
from django.utils import timezone

from maintenance import registry
from maintenance.context import JobContext
from maintenance.ledger import run_json
from maintenance.models import JobRun
from maintenance.purging import batches
from scraping.models import RedditPost
from tests.kit.purges import approved, blocked_purge, interrupted, keep, posts, purged, requested_purge, shown

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


@pytest.fixture(autouse=True)
def caps(settings):
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_SHARE = 10_000, 1.0


@pytest.mark.slow
def test_a_forced_run_is_held_to_its_first_plan_by_every_attempt(settings, small_batches):
    settings.PURGE_CAP_ROWS = 0
    posts(100)
    posts(300, days=50)
    attempt = interrupted(requested_purge(force_reason="only the old ones"), left=350)
    keep(40)

    purged(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.BLOCKED, 350)
    assert "300 other posts" in attempt.message
    assert [table["rows"] for table in attempt.plan["tables"]] == [350, 0]
    assert attempt.plan["tables"][0]["gone"] == 50


@pytest.mark.slow
def test_what_earlier_attempts_deleted_counts(small_batches):
    posts(150)
    dry = purged(dry_run=True)
    attempt = interrupted(requested_purge(shown=shown(dry)), left=50)
    posts(150, days=95)  # 200 match and 100 were deleted: twice as many as planned

    purged(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.BLOCKED, 200)
    assert "300 posts would be deleted, 150 were planned." in attempt.message
    assert run_json.totals(attempt)["scraping.RedditPost"] == 100


@pytest.mark.slow
def test_a_scheduled_run_that_resumes_does_not_take_what_its_first_attempt_would_not_have(small_batches):
    posts(100)
    posts(10, days=50)
    attempt = interrupted(requested_purge(), left=60)
    keep(40)

    purged(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.BLOCKED, 60)
    approved(attempt)
    assert (attempt.status, RedditPost.objects.count()) == (Status.SUCCEEDED, 0)
    assert run_json.totals(attempt)["scraping.RedditPost"] == 110


@pytest.mark.slow
def test_rows_that_only_the_newer_of_two_retentions_takes_stay_though_nothing_stopped_the_run(small_batches):
    """They were stored after the check, so the deletion itself is limited to rows that both retentions delete."""
    posts(100)
    attempt = interrupted(requested_purge(), left=50)
    keep(40)
    late = []
    real = batches.delete_in_batches

    def let_some_in(queryset, **options):
        if not late:
            late.extend(posts(3, days=50))
        return real(queryset, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "delete_in_batches", let_some_in)
        purged(attempt)

    assert set(RedditPost.objects.all()) == set(late)


def test_a_job_that_spares_held_rows_no_more_asks_first(settings, monkeypatch):
    posts(3)
    posts(1, held_at=timezone.now(), hold_reason="court order")
    run = blocked_purge(settings)

    def careless(ctx):
        """Delete all."""
        ctx.delete(RedditPost.objects.created_before(ctx.cutoff), by="created_at")

    job = registry.get_job("purge_old_content")
    monkeypatch.setitem(vars(job), "function", careless)
    approved(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 4)
    assert "held posts are not spared any more" in run.message


def edited_while_it_runs(monkeypatch, edit):
    """Make the edit before the third batch."""
    looks = []
    checkpoint = JobContext.checkpoint

    def look(context):
        looks.append(1)
        if len(looks) == 3:
            edit()
        checkpoint(context)

    monkeypatch.setattr(JobContext, "checkpoint", look)


@pytest.mark.slow
def test_an_edit_that_spares_rows_stops_the_running_purge_at_its_next_batch(small_batches, monkeypatch):
    posts(150)
    survivors = posts(100, days=95)
    edited_while_it_runs(monkeypatch, lambda: keep(97))

    run = purged()

    assert (run.status, run.reason) == (Status.INTERRUPTED, JobRun.Reason.RETENTION)
    assert RedditPost.objects.count() == 150
    attempt = purged(JobRun.objects.get(retry_of=run))
    assert attempt.status == Status.SUCCEEDED
    assert set(RedditPost.objects.all()) == set(survivors)


@pytest.mark.slow
def test_an_edit_that_only_takes_more_stops_nothing_and_is_the_next_runs_work(small_batches, monkeypatch):
    posts(150)
    survivors = posts(100, days=50)
    edited_while_it_runs(monkeypatch, lambda: keep(40))

    run = purged()

    assert run.status == Status.SUCCEEDED
    assert set(RedditPost.objects.all()) == set(survivors)


@pytest.mark.slow
def test_an_override_that_is_added_while_it_runs_is_heeded(small_batches, monkeypatch):
    posts(150, subreddit="memes")
    survivors = posts(100, days=99, subreddit="Python")
    edited_while_it_runs(monkeypatch, lambda: keep(90, python=400))

    run = purged()
    purged(JobRun.objects.get(retry_of=run))

    assert set(RedditPost.objects.all()) == set(survivors)
