"""Two weeks of made-up data for screenshots, trials and tests: runs of all kinds, bots, content, freshness.

The same seed gives the same data. None of it is real, so it is only created in a database without runs.
"""

import math
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from console import demo_content
from console.demo_content import DAYS, Life
from database import clock
from database.messages import gettext as _
from maintenance.models import JobRun, RetentionPolicy, ScheduleControl
from maintenance.purging.plan import TablePlan
from maintenance.registry import get_job
from maintenance.scheduling import edits, replanning, schedules, seeding
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.time_rows import crontab_row
from scraping.demo import create_demo
from scraping.models import (
    BotConfig,
    RedditPost,
    RequestBudget,
    ScrapeSession,
)

# The usual duration of a run in seconds.
USUAL: Mapping[str, float] = {
    "cleanup_tokens": 0.7,
    "cleanup_sessions": 2,
    "purge_old_content": 95,
    "auto_scraping": 360,
    "cleanup_run_history": 6,
    "cleanup_events": 1,
    "cleanup_login_sessions": 0.4,
    "refresh_stored_content": 42,
    "learn_usual_rows": 2,
    "scrape_now": 80,
}


class HoldsRealRuns(Exception):
    """The database contains real data."""


@transaction.atomic
def make(*, owner: User, seed: int = 7) -> int:
    """Fill the database; return how many runs were created.

    Raises:
        HoldsRealRuns: there are runs or posts already.
    """
    if JobRun.objects.exists() or RedditPost.objects.exists():
        raise HoldsRealRuns(
            _("This database holds runs or posts: made-up ones beside them would deceive. Take an empty one.")
        )
    life = Life(owner, clock.now(), random.Random(seed))  # noqa: S311  # made-up data, no secret
    seeding.seed()
    bots = _bots(life)
    _schedules(life, bots)
    runs = _runs(life)
    _special_runs(life)
    _sessions(life, bots)
    demo_content.make(life, bots)
    _events(life)
    return runs


def _bots(life: Life) -> list[BotConfig]:
    bots = create_demo(life.owner)
    if not bots:
        bots = list(BotConfig.objects.order_by("pk")[:3])
    app = bots[0].app
    more = [
        BotConfig.objects.create(owner=life.owner, app=app, name=name, subreddits=[subreddit])
        for name, subreddit in (("Insider forum", "OldMaps"), ("Rain and memes", "RainSounds"))
    ]
    for bot in more:
        bot.note_refusal("private", pause_after=1)
    assert app is not None
    RequestBudget.objects.update_or_create(
        client_id=app.client_id,
        defaults={"window_requests": 1000, "used": 232, "ends_at": life.now + timedelta(minutes=6)},
    )
    return [*bots, *more]


def _schedules(life: Life, bots: list[BotConfig]) -> None:
    """Retime one schedule, pause another, and give one bot its own schedule."""
    zone = str(schedules.zone_of(_task("cleanup_sessions")))
    edits.retime(
        _task("cleanup_sessions"),
        by=life.owner,
        crontab=Crontab.parse("10 3 * * *"),
        timezone_name=zone,
        reason="Beside the backup",
    )
    edits.pause(
        _task("cleanup_run_history"),
        by=life.owner,
        reason="Audit of last month",
        until=life.now + timedelta(hours=4),
    )
    task = PeriodicTask.objects.create(
        name=f"{bots[0].name}, every hour",
        task=get_job("scrape_now").task_name,
        kwargs=f'{{"config": {bots[0].pk}}}',
        crontab=crontab_row(Crontab.parse("25 * * * *"), zone),
    )
    replanning.note_timing(task)
    # The slots that are created below are in the past.
    ScheduleControl.objects.update(effective_from=life.now)


def _task(slug: str) -> Any:
    task = schedules.for_job(slug)
    assert task is not None
    return task


# --- Runs ---------------------------------------------------------------------------------------------


def _runs(life: Life) -> int:
    """Create a run for each slot of the two weeks, in chronological order."""
    made: list[JobRun] = []
    tasks = PeriodicTask.objects.select_related(*schedules.RELATED)
    for task in tasks:
        job = schedules.job_of(task)
        if job is None:
            continue
        slots = schedules.fire_times(task, after=life.ago(days=DAYS), until=life.now)
        made += [_slot_run(life, task, job.slug, slot) for slot in slots]
    made.sort(key=lambda run: run.queued_at)
    JobRun.objects.bulk_create(made, batch_size=500)
    return len(made)


def _slot_run(life: Life, task: Any, slug: str, slot: datetime) -> JobRun:
    job = get_job(slug)
    params = job.clean_stored(task.kwargs)
    run = JobRun(
        job=slug,
        trigger=JobRun.Trigger.SCHEDULE,
        schedule=task,
        schedule_name=task.name,
        scheduled_for=slot,
        queued_at=slot,
        concurrency_key=job.concurrency_key(params),
        params=params,
    )
    status, values = _fate(life, slug, slot)
    run.status = status
    for name, value in values.items():
        setattr(run, name, value)
    if status not in (JobRun.Status.MISSED, JobRun.Status.SKIPPED):
        seconds = USUAL[slug] * math.exp(life.random.gauss(0, 0.35))
        run.started_at = slot + timedelta(seconds=life.random.uniform(0.1, 2))
        run.finished_at = min(run.started_at + timedelta(seconds=seconds), life.now)
        run.worker = f"worker{life.random.randint(1, 4)}"
        run.counts = _counts(life, slug) if status != JobRun.Status.FAILED else {}
    else:
        run.finished_at = slot
    return run


def _fate(life: Life, slug: str, slot: datetime) -> tuple[str, dict[str, Any]]:
    """Return how the run of a slot ends: mostly well; with an outage, a bad evening, and a private subreddit."""
    age = life.now - slot
    if timedelta(days=4, hours=2) < age < timedelta(days=4, hours=5):
        return JobRun.Status.MISSED, {"reason": "no_scheduler", "counts": {"slots_missed": 1}}
    if timedelta(days=9) < age < timedelta(days=9, hours=3):
        return JobRun.Status.SKIPPED, {"reason": "paused"}
    if slug == "refresh_stored_content" and timedelta(hours=6) < age < timedelta(hours=7):
        return JobRun.Status.FAILED, {"error": _outage("api/info")}
    if slug == "auto_scraping" and age < timedelta(hours=22) and slot.hour % 12 < 6:
        return JobRun.Status.PARTIAL, {
            "message": _("%(done)s of %(all)s bots scraped") % {"done": 3, "all": 4}
        }
    chance = life.random.random()
    if chance < 0.012:
        asks_reddit = slug in ("auto_scraping", "scrape_now", "refresh_stored_content")
        error = _outage("r/TinyGardens/new") if asks_reddit else "canceling statement due to lock timeout"
        return JobRun.Status.FAILED, {"error": error}
    if chance < 0.02:
        return JobRun.Status.INTERRUPTED, {"reason": "worker_stopped"}
    return (
        (JobRun.Status.CANCELLED, {"reason": "operator"}) if chance < 0.024 else (JobRun.Status.SUCCEEDED, {})
    )


def _outage(path: str) -> str:
    text = _("Reddit's server failed three times at /%(path)s (%(status)d). Try again later.")
    return text % {"path": path, "status": 503}


def _counts(life: Life, slug: str) -> dict[str, int]:
    number = life.random.randint
    if slug in ("auto_scraping", "scrape_now"):
        return {"posts_new": number(10, 90), "comments_new": number(40, 400), "requests_used": number(20, 90)}
    if slug == "purge_old_content":
        return {"scraping.RedditPost": number(300, 500), "scraping.RedditComment": number(900, 1500)}
    return {"checked": number(80, 400)} if slug == "refresh_stored_content" else {}


def _above_the_cap() -> str:
    text = _(
        "%(rows)s of %(total)s %(table)s would be deleted: %(share)s %%, more than the %(cap)s %% of PURGE_CAP_SHARE."
    )
    posts = RedditPost._meta.verbose_name_plural
    return text % {"rows": "14,077", "total": "41,200", "table": posts, "share": 34, "cap": 10}


def _special_runs(life: Life) -> None:
    """Create open runs: a blocked purge with its plan, a slow scrape, manual runs."""
    plan: dict[str, Any] = {
        "at": life.ago(minutes=25).isoformat(),
        "tables": [
            TablePlan(
                model=model, rows=rows, total=total, bytes=rows * 900, cutoff=life.ago(days=30).isoformat()
            ).as_json()
            for model, rows, total in (
                ("scraping.RedditPost", 14_077, 41_200),
                ("scraping.RedditComment", 58_310, 170_000),
            )
        ],
    }
    plan["tables"][1]["cascaded_from"] = "scraping.RedditPost"
    by = {"requested_by": life.owner, "requested_by_name": life.owner.get_username(), "trigger": "admin"}
    purge = {"job": "purge_old_content", "params": {"days": 30}, **by}
    JobRun.objects.create(
        status="blocked",
        queued_at=life.ago(minutes=25),
        started_at=life.ago(minutes=25),
        heartbeat_at=life.ago(minutes=24),
        waiting_since=life.ago(minutes=24),
        plan=plan,
        message=_above_the_cap(),
        **purge,
    )
    dry = {**plan, "at": life.ago(hours=5).isoformat()}
    dry["tables"] = [{**table, "rows": table["rows"] // 40} for table in plan["tables"]]
    times = {
        "queued_at": life.ago(hours=5),
        "started_at": life.ago(hours=5),
        "finished_at": life.ago(hours=5),
    }
    JobRun.objects.create(status="succeeded", dry_run=True, plan=dry, **{**purge, **times, "params": {}})
    JobRun.objects.create(
        job="auto_scraping",
        status="running",
        trigger="schedule",
        schedule=_task("auto_scraping"),
        schedule_name="Auto scraping",
        scheduled_for=life.ago(minutes=14),
        queued_at=life.ago(minutes=14),
        started_at=life.ago(minutes=14),
        heartbeat_at=life.now,
        worker="worker1",
        concurrency_key="auto_scraping",
        progress_done=60,
        progress_total=100,
    )


def _sessions(life: Life, bots: list[BotConfig]) -> None:
    runs = JobRun.objects.filter(job__in=("auto_scraping", "scrape_now"), status="succeeded").order_by("-pk")
    ScrapeSession.objects.bulk_create(
        ScrapeSession(
            config=bots[number % 3],
            config_name=bots[number % 3].name,
            run=run,
            kind="auto",
            status="succeeded",
            started_at=run.started_at or run.queued_at,
            finished_at=run.finished_at,
            posts_found=run.counts.get("posts_new", 0) + 40,
            posts_new=run.counts.get("posts_new", 0),
            comments_found=run.counts.get("comments_new", 0) + 60,
            comments_new=run.counts.get("comments_new", 0),
            requests_used=run.counts.get("requests_used", 0),
        )
        for number, run in enumerate(runs)
    )


def _events(life: Life) -> None:
    name = life.owner.get_username()
    for hours, verb, subject in (
        (30, "retention.changed", "purge_old_content"),
        (52, "schedule.paused", "Refresh stored content"),
        (51, "schedule.resumed", "Refresh stored content"),
    ):
        Event.objects.create(
            at=life.ago(hours=hours),
            actor_kind="person",
            actor=life.owner,
            actor_name=name,
            verb=verb,
            subject_type=(RetentionPolicy if "retention" in verb else PeriodicTask)._meta.label,
            subject_id="0",
            subject_name=subject,
        )
