"""Steps of tests about purges: expired content, and a manual purge in each of its states."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from maintenance import retention
from maintenance.ledger import decisions, interventions, performing
from maintenance.models import JobRun, RetentionOverride
from maintenance.purging.days import Retention
from scraping.models import RedditComment, RedditPost
from tests.kit import factories
from tests.kit.steps import performed, requested

DAY = timedelta(days=1)


def posts(number: int, *, days: float = 100, **fields: Any) -> list[RedditPost]:
    """Store this many posts of that age."""
    made = timezone.now() - days * DAY
    return RedditPost.objects.bulk_create(
        factories.unsaved_post(created_at=made, **fields) for _ in range(number)
    )


def comments(post: RedditPost, number: int) -> None:
    """Store this many comments on a post, as old as the post."""
    RedditComment.objects.bulk_create(
        RedditComment(
            fullname=f"t1_{post.pk}x{index}",
            post=post,
            created_at=post.created_at,
            parent_fullname=post.fullname,
        )
        for index in range(number)
    )


def keep(days: int, **subreddits: int) -> None:
    """Edit the retention, as an operator does."""
    policy = factories.retention_policy(job="purge_old_content", days=90)
    overrides = tuple(RetentionOverride(subreddit=name, days=number) for name, number in subreddits.items())
    retention.change(policy, Retention(days, overrides), by=factories.superuser())


def requested_purge(**options: Any) -> JobRun:
    """Request a manual purge."""
    return requested("purge_old_content", **options)


def purged(run: JobRun | None = None, **options: Any) -> JobRun:
    """Perform a new purge, or the given run of one."""
    run = run or requested_purge(**options)
    run.refresh_from_db()
    return performed(run)


def blocked_purge(settings: Any, **options: Any) -> JobRun:
    """Perform a purge that a cap stops because of one row too many."""
    settings.PURGE_CAP_ROWS = 0
    run = purged(**options)
    assert run.status == JobRun.Status.BLOCKED
    return run


def approved(run: JobRun, **fields: Any) -> JobRun:
    """Approve a blocked purge and perform it."""
    interventions.approve_run(run, by=factories.superuser(**fields), reason="seen")
    return purged(run)


def interrupted(run: JobRun, *, left: int) -> JobRun:
    """Stop a purge when this many posts are left; return its next attempt."""
    performing.perform(run, stopping=lambda: RedditPost.objects.count() <= left)
    run.refresh_from_db()
    assert run.status == JobRun.Status.INTERRUPTED
    return JobRun.objects.get(retry_of=run)


def shown(dry: JobRun) -> Any:
    """Return the mandate of the plan that this dry run has shown."""
    return decisions.shown_by_run(dry.pk, job="purge_old_content")
