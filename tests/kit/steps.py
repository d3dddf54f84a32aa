"""Steps of many tests: a scrape, a run from its request to its end, a page as a person sees it."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from maintenance.ledger import performing, requests
from maintenance.models import JobRun
from scraping.models import BotConfig, RedditPost, ScrapeSession
from scraping.progress import Progress, SilentProgress
from scraping.sessions.scrape import scrape_config
from tests.kit import factories


def scrape(
    config: BotConfig,
    progress: Progress | None = None,
    *,
    kind: ScrapeSession.Kind = ScrapeSession.Kind.MANUAL,
    run: JobRun | None = None,
) -> ScrapeSession:
    """Scrape for a bot until the session ends, manually unless ``kind`` says otherwise."""
    return scrape_config(
        config, run_id=run.pk if run else None, kind=kind, progress=progress or SilentProgress()
    )


def requested(slug: str, **options: Any) -> JobRun:
    """Request a run as a command does, without sending a message."""
    return requests.request_run(job=slug, trigger="command", send=False, **options)


def ran(slug: str, **options: Any) -> JobRun:
    """Request a run and perform it."""
    return performed(requested(slug, **options))


def at_once(run: JobRun | None) -> JobRun | None:
    """Make the next attempt due at once, if there is one."""
    if run is not None:
        run.not_before = None
        run.save(update_fields=["not_before"])
    return run


def performed(run: JobRun, **options: Any) -> JobRun:
    """Perform a run in this process; return its stored state afterwards."""
    performing.perform(run, **options)
    run.refresh_from_db()
    return run


def old_posts(number: int, *, days: float = 100) -> None:
    """Store posts that a purge of the default retention deletes."""
    made = timezone.now() - timedelta(days=days)
    RedditPost.objects.bulk_create(factories.unsaved_post(created_at=made) for _ in range(number))


def with_password(user: User, password: str) -> User:
    """Give a user a password to sign in with."""
    user.set_password(password)
    user.save()
    return user


def listed(response: Any) -> list[Any]:
    """Return the rows of a list in the admin."""
    return list(response.context["cl"].result_list)
