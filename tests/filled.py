"""A world in which every state of every row exists: what a walk through the console must have seen."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from console.roles import BOT_OWNERS
from database.messages import gettext as message
from maintenance import retention
from maintenance.ledger import performing, requests
from maintenance.models import BeatLease, JobRun, MaintenanceMode, WorkerProcess
from maintenance.scheduling import edits, maintenance_mode, schedules
from scraping.content import holds
from scraping.content.expiry import EXPIRED
from scraping.models import BotConfig, ErrorKind, RedditPost, ScrapeSession
from scraping.models.set_aside import SetAside
from tests import spoilt
from tests.console.test_access import make_world
from tests.kit import factories

# All that a scrape may say of an item that it left out.
SKIPPED = {
    EXPIRED: 3,
    "filtered: unwanted flair": 12,
    "score too low": 2,
    "unexpected kind t5": 1,
    "no title": 1,
    "name is not t3_…": 1,
    "belongs to another post": 4,
}


def filled_world(settings) -> dict[str, User]:
    """Fill the database with every state; return the people by role, the superuser among them."""
    settings.PURGE_CAP_ROWS = 2
    people, owned, _one = make_world()
    boss = people["superuser"] = factories.superuser(username="root")
    _fill_schedules(boss)
    _fill_runs(boss)
    _fill_scraping(people[BOT_OWNERS], owned["other"]["botconfig"].owner)
    _fill_content(boss, owned)
    return people


def start_maintenance(by: User) -> None:
    """Switch maintenance mode on, for an hour."""
    maintenance_mode.start(by=by, reason="database upgrade", until=timezone.now() + timedelta(hours=1))


def end_maintenance() -> None:
    """Switch it off, leaving no trace."""
    MaintenanceMode.objects.all().delete()


def _fill_schedules(boss: User) -> None:
    now = timezone.now()
    held = {
        "holder": "beat@here",
        "expires_at": now + timedelta(hours=1),
        "ticked_at": now,
        "acquired_at": now,
    }
    BeatLease.objects.update_or_create(pk=BeatLease.ROW, defaults=held)
    WorkerProcess.objects.create(
        name="worker@here", started_at=now, seen_at=now, listening_at=now, taken_at=now
    )
    edits.pause(schedules.for_job("cleanup_tokens"), by=boss, reason="audit")
    until = now + timedelta(days=2)
    edits.pause(schedules.for_job("cleanup_run_history"), by=boss, reason="full disk", until=until)
    schedules.for_job("cleanup_login_sessions").delete()
    spoilt.TIMES["unknown zone"]()
    factories.schedule(name="New York", timezone_name="America/New_York", crontab="30 2 * * *")
    factories.schedule(name="Once", one_off=True, enabled=False, start_time=now - timedelta(days=1))


def _fill_runs(boss: User) -> None:
    now = timezone.now()
    for status in JobRun.Status.values:
        if status not in ("blocked", "missed", "skipped"):
            factories.job_run(
                status=status, requested_by=boss, requested_by_name=boss.username, trigger="admin"
            )
    by_slot = {
        "trigger": "schedule",
        "schedule": schedules.for_job("cleanup_sessions"),
        "job": "cleanup_sessions",
    }
    factories.job_run(
        status="failed",
        error=message("%(run)s is not blocked.") % {"run": "x"},
        traceback="Traceback: x",
        **by_slot,
    )
    factories.job_run(
        status="interrupted",
        reason="worker_lost",
        attempt=2,
        scheduled_for=now - timedelta(hours=3),
        **by_slot,
    )
    factories.job_run(
        status="partial",
        counts={"scraping.ScrapeSession": 12},
        scheduled_for=now - timedelta(hours=4),
        **by_slot,
    )
    factories.job_run(status="missed", reason="no_scheduler", counts={"slots_missed": 60}, **by_slot)
    for hours, reason in enumerate(("overlap", "paused", "edited"), start=10):
        factories.job_run(
            status="skipped", reason=reason, scheduled_for=now - timedelta(hours=hours), **by_slot
        )
    running = factories.job_run(job="auto_scraping", status="running", progress_done=1, progress_total=3)
    factories.log_line(run=running, text=message("Cancelled."))
    factories.log_line(run=running, level="warning")
    factories.job_run(
        job="auto_scraping", status="running", cancel_requested_at=now - timedelta(minutes=5), trigger="admin"
    )
    for _number in range(4):
        factories.comment(post=factories.post(created_at=now - timedelta(days=400)))
    for is_dry in (False, True):
        performing.perform(
            requests.request_run(
                job="purge_old_content", trigger="admin", by=boss, dry_run=is_dry, send=False
            )
        )


def _fill_scraping(owner: User, other: User) -> None:
    now = timezone.now()
    for person in (owner, other):
        bot = factories.bot_config(owner=person, name=f"Stopped of {person.username}", min_score=3)
        kind = ErrorKind.UNAUTHORIZED
        BotConfig.objects.filter(pk=bot.pk).update(
            is_active=False, paused_at=now, refusal_kind=kind, refusals=3
        )
        run = factories.job_run(job="auto_scraping", status="partial")
        for status in ScrapeSession.Status.values:
            found = {"posts_found": 9, "posts_new": 3, "items_skipped": sum(SKIPPED.values())}
            failed = {"error_kind": "private", "error": "r/python is private."} if status == "failed" else {}
            factories.session(
                config=factories.bot_config(owner=person) if status == "running" else bot,
                run=run,
                status=status,
                has_gap=status == "partial",
                totals={"python": {**found, "skipped": SKIPPED, **failed}},
                **found,
                **failed,
            )
        factories.watermark(config=bot)
        silent = {"silent_since": now - timedelta(days=3), "why": "quiet"}
        factories.freshness(config=bot, newest_at=now, listed_at=now, **silent)
        factories.due_walk(config=bot)
        factories.schedule(
            name=f"Scrape for {person.username}",
            task="maintenance.scrape_now",
            kwargs=f'{{"config": {bot.pk}}}',
        )
    app = factories.reddit_app(name="Shared")
    factories.request_budget(client_id=app.client_id, ends_at=now + timedelta(minutes=5), is_confirmed=True)


def _fill_content(boss: User, owned: dict) -> None:
    now = timezone.now()
    held = [rows["redditpost"].pk for rows in owned.values()]
    holds.hold_posts(RedditPost.objects.filter(pk__in=held), by=boss, reason="court order")
    for number, state in enumerate(("author", "moderator", "reddit", "missing")):
        factories.post(state=state, score=number)
    for state in SetAside.State.values:
        decided = (
            {} if state == "open" else {"decided_at": now, "decided_by": boss, "decided_by_name": "root"}
        )
        for cause, scope in (("closed", "python"), ("marked", "moderator")):
            factories.set_aside(
                state=state,
                cause=cause,
                scope=scope,
                doubt={"fullname": factories.post().fullname},
                **decided,
            )
    policy = factories.retention_policy(job="purge_old_content", days=90)
    factories.retention_override(policy=policy, subreddit="django", days=30)
    kept = retention.Retention(80, retention.retention_of(policy).overrides)
    retention.change(policy, kept, by=boss)
