"""Measures how long writes of others take while rows are purged."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

# How many rows on each side of the cutoff are updated, or how many are inserted, while a purge runs.
NEAR = 2_000


def quantile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def update_near_cutoff(url: str, posts: int, work: Callable[[], Any]) -> list[float]:
    """Update posts on both sides of the cutoff while ``work`` runs; return the duration of each update in seconds."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    draw = random.Random(1)

    def write() -> None:
        post = posts // 2 + draw.randint(-NEAR, NEAR)
        cursor.execute("UPDATE scraping_redditpost SET score = score + 1 WHERE id = %s", [post])

    try:
        return meanwhile(work, write)
    finally:
        connection.close()


def insert(url: str, posts: int, work: Callable[[], Any]) -> list[float]:
    """Insert log lines while ``work`` runs; return the seconds of each. "database is locked" is an error."""
    import sqlite3

    connection = sqlite3.connect(
        url.removeprefix("sqlite:///"), timeout=20, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    run = connection.execute(
        "INSERT INTO maintenance_jobrun (job, status, reason, trigger, requested_by_name, schedule_name, dry_run, params,"
        " concurrency_key, queued_at, worker, attempt, progress_done, stage, counts, message, error, traceback)"
        " VALUES ('x', 'queued', '', 'command', '', '', 0, '{}', '', '2026-01-01', '', 1, 0, '', '{}', '', '', '')"
    ).lastrowid

    def write() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO maintenance_runlogline (run_id, at, level, text) VALUES (?, '2026-01-01', 'info', 'x')",
            [run],
        )
        connection.execute("COMMIT")

    try:
        return meanwhile(work, write)
    finally:
        connection.close()


def meanwhile(work: Callable[[], Any], write: Callable[[], None]) -> list[float]:
    """Write every few milliseconds while ``work`` runs; return the duration of each write in seconds."""
    ended, waits, failures = threading.Event(), list[float](), list[BaseException]()

    def go_on() -> None:
        try:
            while not ended.wait(0.002):
                started = time.monotonic()
                write()
                waits.append(time.monotonic() - started)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        work()
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]
    return waits
