"""Compares the purge engine with Django's ``QuerySet.delete()`` and one raw DELETE: medians of alternating rounds.

``python -m bench.purge`` prints the tables for the configured database. Each method gets a fresh copy of the
same filled database and a separate process; a purge is a whole run, as a worker performs it. ROUNDS (5) and
ROWS (``1000000,5000000``; SQLite 1,000,000) shorten it; PARTS selects from content, writers, childless, sessions.
"""

import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench import harness
from bench.purge_methods import CHILDREN, COMMENTS_PER_POST, Answer
from bench.waiting_writers import insert, quantile, update_near_cutoff

ROUNDS = int(os.environ.get("ROUNDS", "5"))
ROWS = [int(number) for number in os.environ.get("ROWS", "1000000,5000000").split(",")]
PARTS = os.environ.get("PARTS", "content,writers,childless,sessions").split(",")
CHILDLESS_ROWS = 1_000_000
IDLE_SECONDS = 5.0

# --- Rounds ----------------------------------------------------------------------------------


def alternate(url: str, methods: dict[str, str], **environment: str) -> dict[str, Answer]:
    """Run each method ROUNDS times, in turn, on copies of the database; return the medians of its figures."""
    answers: dict[str, list[Answer]] = defaultdict(list)
    for _ in range(ROUNDS):
        for label, method in methods.items():
            with harness.copy_of(url) as copy:
                answers[label].append(
                    harness.in_child("bench.purge", method, database_url=copy, **environment)
                )
    return {label: medians(found) for label, found in answers.items()}


def medians(answers: list[Answer]) -> Answer:
    """Return the median of each figure."""
    return {name: statistics.median(answer[name] for answer in answers) for name in answers[0]}


def print_ratios(title: str, answers: dict[str, Answer]) -> None:
    """Print the methods with the ratios of their speeds; the first is ours."""
    ours, *peers = answers
    speed = {label: answer["rows"] / answer["batches"] for label, answer in answers.items()}
    whole = answers[ours]["rows"] / answers[ours]["seconds"]
    harness.print_table(
        title,
        ["", "rows", "seconds", "rows/s", "longest transaction", "memory growth"],
        [
            [
                label,
                f"{answer['rows']:,.0f}",
                f"{answer['batches']:.2f}",
                f"{speed[label]:,.0f}",
                f"{1000 * answer['longest']:,.0f} ms",
                f"{answer['growth_mb']:.1f} MB",
            ]
            for label, answer in answers.items()
        ],
    )
    for peer in peers:
        print(
            f"  {ours}: {speed[ours] / speed[peer]:.2f} × {peer}"
            f" ({whole / speed[peer]:.2f} × with plan, verification and statistics)"
        )


@contextmanager
def filled(fill: Callable[[], None]) -> Iterator[str]:
    """Yield the URL of a scratch database with these rows, settled."""
    with harness.scratch_database() as url:
        fill()
        harness.settle()
        yield url


# --- Content ---------------------------------------------------------------------------------

OURS = "purge_old_content"
CONTENT = {
    OURS: "purge_old_content",
    "the same, not writing down what went": "untraced",
    "QuerySet.delete()": "content_by_queryset",
    "one DELETE": "content_by_statement",
}


def posts_of(rows: int) -> int:
    """Return how many posts give this many rows together with their comments."""
    return rows // (1 + COMMENTS_PER_POST)


def fill_half_expired(rows: int) -> Callable[[], None]:
    """Return a function that inserts posts with comments, half of them expired."""
    posts = posts_of(rows)
    return lambda: harness.fill_content(posts=posts, comments_per_post=COMMENTS_PER_POST, expired=posts // 2)


def content(rows: int, url: str) -> None:
    """Print the speed of purging content."""
    from django.db import connection

    answers = alternate(url, CONTENT, PURGE_THROTTLE="1")
    print_ratios(f"Content, {rows:,} rows, half expired, {connection.vendor}, full throttle", answers)


def writers(rows: int, url: str) -> None:
    """Print how long other writers wait while content is purged: updates near the cutoff, inserts on SQLite."""
    from django.db import connection

    write = update_near_cutoff if connection.vendor == "postgresql" else insert
    waits: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(ROUNDS):
        with harness.copy_of(url) as copy:
            waits["idle"].append(write(copy, posts_of(rows), lambda: time.sleep(IDLE_SECONDS)))
        for label, method in CONTENT.items():
            with harness.copy_of(url) as copy:
                waits[label].append(
                    write(
                        copy,
                        posts_of(rows),
                        lambda method=method, copy=copy: harness.in_child(  # type: ignore[misc]  # mypy and defaults
                            "bench.purge", method, database_url=copy
                        ),
                    )
                )
    quantiles = {
        label: [
            statistics.median(1000 * quantile(found, share) for found in rounds) for share in (0.5, 0.99, 1)
        ]
        for label, rounds in waits.items()
    }
    harness.print_table(
        f"A concurrent {'update near the cutoff' if connection.vendor == 'postgresql' else 'insert'},"
        f" {rows:,} rows, {connection.vendor}, default throttle",
        ["", "median", "p99", "longest", "p99 × idle"],
        [
            [label, *(f"{value:,.1f} ms" for value in found), f"{found[1] / quantiles['idle'][1]:.1f}"]
            for label, found in quantiles.items()
        ],
    )


# --- Tables without children -----------------------------------------------------------------


def fill_childless() -> None:
    """Create a million each of refresh tokens, simplejwt's tokens, login sessions and runs, half of them expired."""
    from django.contrib.auth.models import User
    from django.db import connection

    from bench.peers.models import BlacklistedToken, OutstandingToken

    user = User.objects.create(username="bench").pk
    with connection.schema_editor() as editor:
        editor.create_model(OutstandingToken)
        editor.create_model(BlacklistedToken)
    rows, half = harness.series(1, CHILDLESS_ROWS), CHILDLESS_ROWS // 2
    # Expired rows are mixed with the others, as they are when lifetimes differ and rows are replaced.
    days = (
        f"CASE WHEN i % 2 = 0 THEN 1 + i * 90.0 / {CHILDLESS_ROWS} ELSE -1 - i * 13.0 / {CHILDLESS_ROWS} END"
    )
    expires = harness.days_ago(days)
    no = "false" if connection.vendor == "postgresql" else "0"
    secret = "repeat(md5(i::text), 8)" if connection.vendor == "postgresql" else "hex(randomblob(128))"
    key = "md5(i::text)" if connection.vendor == "postgresql" else "hex(randomblob(16))"
    for statement in (
        "INSERT INTO accounts_refreshtoken (secret_hash, created_at, expires_at, user_id)"
        f" SELECT {key} || {key}, {harness.days_ago('200')}, {expires}, {user} FROM {rows}",
        "INSERT INTO peers_outstandingtoken (user_id, jti, token, created_at, expires_at)"
        f" SELECT {user}, {key}, {secret}, {harness.days_ago('200')}, {expires} FROM {rows}",
        "INSERT INTO django_session (session_key, session_data, expire_date)"
        f" SELECT {key}, {secret}, {expires} FROM {rows}",
        # The age of runs follows the order of their keys.
        "INSERT INTO maintenance_jobrun (job, status, reason, trigger, requested_by_name, schedule_name, dry_run, params,"
        " concurrency_key, queued_at, started_at, finished_at, worker, attempt, progress_done, stage, counts, message, error, traceback)"
        f" SELECT 'cleanup_tokens', 'succeeded', '', 'schedule', '', 'Cleanup tokens', {no}, '{{}}', 'cleanup_tokens',"
        f" t, t, t, 'worker@host:123', 1, 2, 'refresh tokens', '{{\"accounts.RefreshToken\": 1}}', '', '', ''"
        f" FROM (SELECT {harness.days_ago(f'CASE WHEN i <= {half} THEN 181 ELSE 1 END')} AS t FROM {rows}) AS times",
    ):
        with connection.cursor() as cursor:
            cursor.execute(statement)


def childless(url: str) -> None:
    """Print the speed of deleting from tables without child rows (runs can have log lines, but these have none)."""
    from django.db import connection

    for title, methods in {
        "Refresh tokens": {
            "cleanup_tokens": "cleanup_tokens",
            "simplejwt flushexpiredtokens": "tokens_by_peer",
        },
        "Login sessions": {
            "cleanup_login_sessions": "cleanup_login_sessions",
            "clearsessions": "login_sessions_by_peer",
        },
        "Run history": {
            "cleanup_run_history": "cleanup_run_history",
            "one DELETE": "run_history_by_statement",
        },
    }.items():
        answers = alternate(url, methods, PURGE_THROTTLE="1")
        print_ratios(f"{title}, {CHILDLESS_ROWS:,} rows, half expired, {connection.vendor}", answers)


# --- Scrape sessions -------------------------------------------------------------------------


def fill_sessions() -> None:
    """Create 91,000 posts, each found by one of 1,667 old sessions."""
    from django.db import connection

    harness.fill_content(posts=91_000, comments_per_post=0, expired=0)
    no = "false" if connection.vendor == "postgresql" else "0"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scraping_scrapesession (config_name, kind, status, started_at, finished_at, posts_found,"
            " posts_new, comments_found, comments_new, items_skipped, requests_used, retries, has_gap, totals, error_kind, error)"
            f" SELECT 'bench', 'auto', 'succeeded', {harness.days_ago('40')}, {harness.days_ago('40')}, 0, 0, 0, 0, 0, 0, 0, {no},"
            f" '{{}}', '', '' FROM {harness.series(1, 1667)}"
        )
        cursor.execute("UPDATE scraping_redditpost SET session_id = 1 + id % 1667")


def sessions(url: str) -> None:
    """Print how much deleting sessions writes: now, and with a foreign key that sets the posts' session to null."""
    import psycopg2

    rows = []
    for label, prepare in {
        "cleanup_sessions": "",
        "the same, with a foreign key ON DELETE SET NULL": (
            "ALTER TABLE scraping_redditpost ADD FOREIGN KEY (session_id) REFERENCES scraping_scrapesession ON DELETE SET NULL"
        ),
    }.items():
        found = []
        for _ in range(ROUNDS):
            with harness.copy_of(url) as copy:
                connection = psycopg2.connect(copy)
                connection.autocommit = True
                cursor = connection.cursor()
                if prepare:
                    cursor.execute(prepare)
                cursor.execute("SELECT pg_current_wal_lsn()")
                before = cursor.fetchone()[0]
                answer = harness.in_child("bench.purge", "cleanup_sessions", database_url=copy)
                cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", [before])
                answer["wal_mb"] = float(cursor.fetchone()[0]) / 1e6
                cursor.execute("SELECT count(*) FROM scraping_redditpost WHERE session_id IS NOT NULL")
                answer["untouched"] = cursor.fetchone()[0]
                connection.close()
                found.append(answer)
        middle = medians(found)
        rows.append(
            [
                label,
                f"{middle['batches']:.3f}",
                f"{middle['wal_mb']:.1f} MB",
                f"{middle['untouched']:,.0f}",
            ]
        )
    harness.print_table(
        "1,667 scrape sessions, to which 91,000 posts point",
        ["", "seconds", "written (WAL)", "posts untouched"],
        rows,
    )


def main() -> None:
    """Print the tables for the configured database."""
    from django.db import connection

    on_postgresql = connection.vendor == "postgresql"
    for rows in ROWS if on_postgresql else ROWS[:1]:
        if {"content", "writers"} & set(PARTS):
            with filled(fill_half_expired(rows)) as url:
                if "content" in PARTS:
                    content(rows, url)
                if "writers" in PARTS:
                    writers(rows, url)
    if "childless" in PARTS and on_postgresql:
        with filled(fill_childless) as url:
            childless(url)
    if "sessions" in PARTS and on_postgresql:
        with filled(fill_sessions) as url:
            sessions(url)


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "CRITICAL")
    # Only in the children that delete: otherwise Django would create these tables before those that they refer to.
    harness.set_up(apps=["bench.peers"] if len(sys.argv) > 1 else [])
    if len(sys.argv) > 1:
        print(json.dumps(CHILDREN[sys.argv[1]]()))
    else:
        main()
