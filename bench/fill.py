"""Fills the configured, empty database with test data of a given size: ``python -m bench.fill --posts 1000000``.

For each million posts: 5,000,000 comments, 500,000 runs of 200 schedules, 100,000 sessions of 200 bots, 250,000 events
and 20,000 alerts; the numbers of schedules, bots and people do not depend on it. ``--schedules 10000`` sets the number of schedules. The
database generates everything from row numbers, so the same size gives the same data. On PostgreSQL the secondary
indexes are built after the rows, and foreign keys are not checked: the connected role must be a superuser.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

from bench import harness
from bench.filler import FIRST, PEOPLE, Filler, chance, pick
from bench.records import fill_records

BOTS, SUBREDDITS = 200, 400
COMMENTS_A_POST = 5
WORDS = "The quick brown fox jumps over the lazy dog and asks what the moderators of this place think of it. "
JOBS = (
    "cleanup_tokens",
    "cleanup_sessions",
    "purge_old_content",
    "auto_scraping",
    "cleanup_run_history",
    "cleanup_login_sessions",
    "refresh_stored_content",
)


def fill_people(filler: Filler) -> None:
    """Create the owners of bots, and the bots."""
    from django.contrib.auth.models import User

    from scraping.models import BotConfig

    no, yes = filler.literal(False), filler.literal(True)
    filler.insert(
        User,
        PEOPLE,
        id=f"{FIRST} + i",
        username="'owner' || i",
        password="'!'",
        is_staff=yes,
        is_superuser=no,
        is_active=yes,
        date_joined=filler.at("200"),
    )
    filler.insert(
        BotConfig,
        BOTS,
        id="i",
        name="'bot ' || i",
        owner_id=f"{FIRST} + 1 + i % {PEOPLE}",
        subreddits=filler.json(
            f"'[\"sub' || (i % {SUBREDDITS}) || '\", \"sub' || ((i + 200) % {SUBREDDITS}) || '\"]'"
        ),
        created_at=filler.at("150"),
        updated_at=filler.at("i / 10.0"),
    )


def fill_schedules(filler: Filler, schedules: int) -> None:
    """Create schedules of the jobs in addition to those that migrations seed."""
    from django_celery_beat.models import CrontabSchedule, PeriodicTask

    from maintenance.models import ScheduleControl

    filler.insert(
        CrontabSchedule,
        60,
        id=f"{FIRST} + i",
        minute="i - 1",
        hour="'*/6'",
        day_of_month="'*'",
        month_of_year="'*'",
        day_of_week="'*'",
        timezone="'Asia/Shanghai'",
    )
    now, yes = filler.at("0"), filler.literal(True)
    filler.insert(
        PeriodicTask,
        schedules,
        id=f"{FIRST} + i",
        name="'schedule ' || i",
        task="'maintenance.scrape_now'",
        kwargs=f"'{{\"config\": ' || (1 + i % {BOTS}) || '}}'",
        args="'[]'",
        headers="'{}'",
        enabled=f"{yes}",
        crontab_id=f"{FIRST} + 1 + i % 60",
        total_run_count="i",
        date_changed=now,
    )
    filler.insert(
        ScheduleControl,
        schedules,
        schedule_id=f"{FIRST} + i",
        default_crontab="''",
        effective_from=filler.at("100"),
        next_slot_at=filler.at("-(i % 60) / 240.0"),
    )


def fill_runs(filler: Filler, runs: int, schedules: int) -> None:
    """Create the runs of the last days, most of them scheduled, and a log for every hundredth."""
    from maintenance.models import JobRun, RunLogLine

    day = filler.day_of("i", runs, 1)
    status = pick(
        (0.94, "succeeded"),
        (0.03, "failed"),
        (0.01, "partial"),
        (0.01, "skipped"),
        last="cancelled",
        of=chance(2),
    )
    trigger = pick((0.97, "schedule"), (0.015, "admin"), (0.01, "command"), last="retry", of=chance(3))
    job = (
        "CASE i % 8 "
        + " ".join(f"WHEN {n} THEN '{slug}'" for n, slug in enumerate(JOBS))
        + " ELSE 'scrape_now' END"
    )
    filler.insert(
        JobRun,
        runs,
        id="i",
        job=job,
        status=status,
        trigger=trigger,
        schedule_id=f"{FIRST} + 1 + i % {schedules}",
        schedule_name=f"'schedule ' || (1 + i % {schedules})",
        scheduled_for=filler.at(f"{day} + i / 1e9"),
        queued_at=filler.at(day),
        started_at=filler.at(f"{day} - 0.0001"),
        finished_at=filler.at(f"{day} - 0.0001 - 0.01 * {chance(4)}"),
        dry_run=f"({chance(5)} < 0.005)",
        message="'Deleted ' || (i % 977) || ' rows.'",
        error=f"CASE WHEN {status} = 'failed' THEN 'Reddit answered 503' ELSE '' END",
        worker="'worker-' || (i % 4)",
        counts=filler.json("'{\"scraping.RedditPost\": 12}'"),
        attempt="1",
    )
    filler.insert(
        RunLogLine,
        runs // 10,
        run_id="i * 10",
        at=filler.at("1"),
        level="'info'",
        text="'Batch ' || i || ' is gone.'",
    )


def fill_sessions(filler: Filler, sessions: int) -> None:
    """Create finished sessions of all bots."""
    from scraping.models import ScrapeSession

    day = filler.day_of("i", sessions, 6)
    filler.insert(
        ScrapeSession,
        sessions,
        id="i",
        config_id=f"1 + i % {BOTS}",
        config_name=f"'bot ' || (1 + i % {BOTS})",
        kind="'auto'",
        status=pick((0.95, "succeeded"), (0.03, "partial"), last="failed", of=chance(7)),
        started_at=filler.at(day),
        finished_at=filler.at(f"{day} - 0.003"),
        has_gap=f"({chance(8)} < 0.002)",
        posts_found="10",
        posts_new="9",
        requests_used="20",
        run_id="i * 5",
    )


def shared(filler: Filler, rows: int, salt: int) -> dict[str, str]:
    """Return the columns that posts and comments share: author, state and times."""
    day = filler.day_of("i", rows, salt)
    return {
        "author": f"'author' || CAST({chance(salt + 1)} * {chance(salt + 2)} * 100000 AS integer)",
        "author_fullname": "'t2_' || (i % 100000)",
        "score": f"CAST(1 / (0.001 + {chance(salt + 3)}) AS integer)",
        "state": pick(
            (0.97, "live"), (0.015, "author"), (0.01, "moderator"), last="missing", of=chance(salt + 4)
        ),
        "created_at": filler.at(day),
        "first_seen_at": filler.at(f"{day} - 0.1"),
        "last_seen_at": filler.at(f"{day} - 0.2"),
        "checked_at": filler.at(f"2 * {chance(salt + 5)}"),
    }


def fill_content(filler: Filler, posts: int, sessions: int) -> None:
    """Create posts with five comments each, and the sightings of the bots that found them."""
    from scraping.models import PostSighting, RedditComment, RedditPost

    held = f"{chance(21)} < 0.0002"
    filler.insert(
        RedditPost,
        posts,
        id="i",
        fullname="'t3_' || i",
        **shared(filler, posts, 20),
        subreddit=f"'sub' || CAST({chance(27)} * {chance(28)} * {SUBREDDITS} AS integer)",
        title="'Post ' || i || ': what do you think of it?'",
        body=f"CASE WHEN i % 2 = 0 THEN '{WORDS * 3}' ELSE '' END",
        url="'https://example.org/' || i",
        permalink="'/r/sub/comments/' || i || '/'",
        domain="'example.org'",
        num_comments=str(COMMENTS_A_POST),
        comments_fetched=str(COMMENTS_A_POST),
        session_id=f"1 + i % {sessions}",
        config_id=f"1 + i % {BOTS}",
        held_at=f"CASE WHEN {held} THEN {filler.at('3')} END",
        hold_reason=f"CASE WHEN {held} THEN 'kept for a report' ELSE '' END",
    )
    comments = posts * COMMENTS_A_POST
    filler.insert(
        RedditComment,
        comments,
        id="i",
        fullname="'t1_' || i",
        **shared(filler, comments, 40),
        body=f"'{WORDS}'",
        post_id=f"1 + (i - 1) / {COMMENTS_A_POST}",
        parent_fullname=f"'t3_' || (1 + (i - 1) / {COMMENTS_A_POST})",
        depth="0",
    )
    filler.insert(PostSighting, posts, post_id="i", config_id=f"1 + i % {BOTS}")


def fill(*, posts: int, schedules: int = 200, tell: Callable[[str], None] = lambda _line: None) -> None:
    """Create the data in the configured database, which must have no posts yet.

    Raises:
        SystemExit: there are posts already.
    """
    from django.contrib.auth.models import User
    from django_celery_beat.models import CrontabSchedule, PeriodicTask

    from maintenance.models import JobRun, RunLogLine
    from scraping.models import BotConfig, PostSighting, RedditComment, RedditPost, ScrapeSession

    if RedditPost.objects.exists():
        raise SystemExit("This database holds posts: name an empty one in DATABASE_URL.")
    runs, sessions = max(100, posts // 2), max(20, posts // 10)
    filler = Filler(tell)
    fill_people(filler)
    fill_schedules(filler, schedules)
    with filler.unchecked(JobRun, RunLogLine, ScrapeSession, RedditPost, RedditComment, PostSighting):
        fill_runs(filler, runs, schedules)
        fill_sessions(filler, sessions)
        fill_content(filler, posts, sessions)
    fill_records(filler, max(200, posts // 4), max(100, posts // 50))
    filler.reset_sequences(
        User, BotConfig, CrontabSchedule, PeriodicTask, JobRun, ScrapeSession, RedditPost, RedditComment
    )
    harness.settle()


def main() -> None:
    """Migrate and fill the configured database; print how long each table took."""
    from django.core.management import call_command

    parser = argparse.ArgumentParser(description="Fill the configured database with a world of a given size.")
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--schedules", type=int, default=200)
    options = parser.parse_args()
    started = time.perf_counter()
    call_command("migrate", verbosity=0)
    fill(posts=options.posts, schedules=options.schedules, tell=lambda line: print(line, flush=True))
    sys.stdout.write(f"All of it: {time.perf_counter() - started:.0f} s\n")


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    main()
