"""The ways to delete that ``bench.purge`` compares: our jobs and their peers, each in a separate process."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bench.memory import Peak

COMMENTS_PER_POST = 10

Answer = dict[str, Any]


def by_job(job: str) -> Answer:
    """Delete as a worker does: request a run, plan, delete in batches, verify, update the statistics."""
    from maintenance import context
    from maintenance.ledger import performing, requests
    from maintenance.models import JobRun
    from maintenance.purging import batches

    performing.preview("cleanup_login_sessions")  # so that imports and connections do not count as growth
    deleting: list[float] = []
    engine = batches.delete_in_batches
    looked_at: list[float] = []
    checkpoint = context.JobContext.checkpoint

    def timed_engine(*arguments: Any, **options: Any) -> Any:
        started = time.monotonic()
        looked_at.clear()
        gone = engine(*arguments, **options)
        deleting.append(time.monotonic() - started)
        return gone

    def timed_checkpoint(ctx: Any) -> None:
        looked_at.append(time.monotonic())
        if len(looked_at) > 1:
            longest[0] = max(longest[0], looked_at[-1] - looked_at[-2])
        checkpoint(ctx)

    longest = [0.0]
    batches.delete_in_batches = timed_engine
    context.JobContext.checkpoint = timed_checkpoint  # type: ignore[assignment,method-assign]  # for this process only
    run = requests.request_run(job=job, trigger="command", send=False, force_reason="a benchmark")
    started = time.monotonic()
    with Peak() as peak:
        performing.perform(run)
    seconds = time.monotonic() - started
    run = JobRun.objects.get(pk=run.pk)
    assert run.status == JobRun.Status.SUCCEEDED, run.error or run.message
    return {
        "rows": sum(run.counts.values()),
        "seconds": seconds,
        "batches": sum(deleting),
        "longest": longest[0],
        "growth_mb": peak.highest - peak.before,
    }


def untraced() -> Answer:
    """Purge posts without recording which ones were deleted."""
    from maintenance.purging.deletion import Deletion

    Deletion._returning = None  # type: ignore[assignment]  # for this process only
    return by_job("purge_old_content")


def in_one_piece(delete: Callable[[], int]) -> Answer:
    """Time a deletion in one transaction."""
    started = time.monotonic()
    with Peak() as peak:
        rows = delete()
    seconds = time.monotonic() - started
    return {
        "rows": rows,
        "seconds": seconds,
        "batches": seconds,
        "longest": seconds,
        "growth_mb": peak.highest - peak.before,
    }


def content_by_queryset() -> Answer:
    """Delete posts as Django does for a foreign key with ``on_delete=CASCADE``."""
    from django.db.models import CASCADE

    from scraping.models import RedditComment, RedditPost

    RedditComment._meta.get_field("post").remote_field.on_delete = CASCADE
    RedditPost.objects.filter(pk=-1).delete()
    return in_one_piece(lambda: RedditPost.objects.filter(created_at__lt=ago(90)).delete()[0])


def content_by_statement() -> Answer:
    """Delete posts with one statement; the database performs the cascade."""
    from scraping.models import RedditPost

    rows = RedditPost.objects.filter(created_at__lt=ago(90))
    rows.filter(pk=-1)._raw_delete("default")
    return in_one_piece(lambda: rows._raw_delete("default") * (1 + COMMENTS_PER_POST))


def tokens_by_peer() -> Answer:
    """Delete tokens with the statement of simplejwt's command ``flushexpiredtokens``."""
    from django.utils import timezone

    from bench.peers.models import OutstandingToken

    OutstandingToken._default_manager.filter(pk=-1).delete()
    return in_one_piece(
        lambda: OutstandingToken._default_manager.filter(expires_at__lte=timezone.now()).delete()[0]
    )


def login_sessions_by_peer() -> Answer:
    """Delete login sessions with Django's ``clearsessions``."""
    from django.contrib.sessions.models import Session
    from django.core.management import call_command

    before = Session.objects.count()
    answer = in_one_piece(lambda: int(call_command("clearsessions") is not None))
    return {**answer, "rows": before - Session.objects.count()}


def run_history_by_statement() -> Answer:
    """Delete runs with one statement, as django-celery-results does."""
    from maintenance.models import JobRun

    return in_one_piece(lambda: JobRun.objects.filter(finished_at__lt=ago(180))._raw_delete("default"))


CHILDREN: dict[str, Callable[[], Answer]] = {
    "purge_old_content": lambda: by_job("purge_old_content"),
    "untraced": untraced,
    "cleanup_tokens": lambda: by_job("cleanup_tokens"),
    "cleanup_login_sessions": lambda: by_job("cleanup_login_sessions"),
    "cleanup_run_history": lambda: by_job("cleanup_run_history"),
    "cleanup_sessions": lambda: by_job("cleanup_sessions"),
    "content_by_queryset": content_by_queryset,
    "content_by_statement": content_by_statement,
    "tokens_by_peer": tokens_by_peer,
    "login_sessions_by_peer": login_sessions_by_peer,
    "run_history_by_statement": run_history_by_statement,
}


def ago(days: int) -> Any:
    """Return the moment this many days ago."""
    from django.utils import timezone

    return timezone.now() - timedelta(days=days)
