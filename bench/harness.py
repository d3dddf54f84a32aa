"""What every benchmark needs: a scratch database, rows made by the database itself, child processes, a table."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

BASE_DIR = Path(__file__).resolve().parent.parent


def set_up(*, apps: Sequence[str] = ()) -> None:
    """Start Django with the environment as it is, and with ``apps`` that only a benchmark needs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    import django
    from django.conf import settings

    settings.INSTALLED_APPS += [*apps]
    django.setup()


@contextmanager
def scratch_database() -> Iterator[str]:
    """Create a migrated database of its own beside the configured one; drop it at the end. Yields its URL."""
    from django.db import connection

    configured = connection.settings_dict["NAME"]
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        settings = connection.settings_dict
        if connection.vendor == "sqlite":
            yield f"sqlite:///{name}"
        else:
            user, host, port = settings["USER"], settings["HOST"], settings["PORT"] or 5432
            password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
            yield f"postgres://{user}{password}@{host}:{port}/{name}"
    finally:
        connection.creation.destroy_test_db(configured, verbosity=0)


@contextmanager
def copy_of(url: str) -> Iterator[str]:
    """Copy a database that has no connections, as fast as the server can; drop the copy at the end."""
    if url.startswith("sqlite"):
        original = Path(url.removeprefix("sqlite:///"))
        copy = original.with_name("copy.sqlite3")
        shutil.copyfile(original, copy)
        try:
            yield f"sqlite:///{copy}"
        finally:
            for file in original.parent.glob("copy.sqlite3*"):
                file.unlink()
        return
    import psycopg2

    server, _, name = url.rpartition("/")
    copy_name = f"{name}_copy"

    def execute(*statements: str) -> None:
        connection = psycopg2.connect(f"{server}/postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()

    drop = f'DROP DATABASE IF EXISTS "{copy_name}" WITH (FORCE)'
    execute(drop, f'CREATE DATABASE "{copy_name}" TEMPLATE "{name}" STRATEGY file_copy', "CHECKPOINT")
    try:
        yield f"{server}/{copy_name}"
    finally:
        execute(drop)


def settle() -> None:
    """Leave a filled database as it would be found: vacuumed, analysed, written to disk, and free to be copied."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM (ANALYZE)")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def series(first: int, last: int, name: str = "i") -> str:
    """Return SQL for a FROM clause: the whole numbers from first to last as a column of this name."""
    from django.db import connection

    if connection.vendor == "postgresql":
        return f"generate_series({first}, {last}) AS of_{name}({name})"
    return (
        f"(WITH RECURSIVE n({name}) AS (SELECT {first} UNION ALL SELECT {name} + 1 FROM n WHERE {name} < {last})"
        f" SELECT {name} FROM n) AS of_{name}"
    )


def days_ago(days: str) -> str:
    """Return SQL for the moment so many days ago; ``days`` is an expression of a number, with fractions."""
    from django.db import connection

    if connection.vendor == "postgresql":
        return f"now() - interval '1 day' * ({days})"
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', (-({days})) || ' days')"


def aged(first: int, expired: int, last: int) -> str:
    """Return SQL for the time of row ``i``: up to ``expired`` 190 to 91 days old, then 89 days to none, oldest first."""
    gone, kept = max(1, expired - first), max(1, last - expired)
    return (
        f"CASE WHEN i <= {expired} THEN {days_ago(f'91 + ({expired} - i) * 99.0 / {gone}')}"
        f" ELSE {days_ago(f'({last} - i) * 89.0 / {kept}')} END"
    )


def fill_content(*, posts: int, comments_per_post: int, expired: int, first: int = 0) -> None:
    """Insert posts with comments by SQL, oldest first; ``expired`` of the posts are more than 90 days old."""
    from django.db import connection

    posted, replies = series(first + 1, first + posts), series(1, comments_per_post, "k")
    at = aged(first, first + expired, first + posts)
    body = "'A comment of ordinary length, about as long as people write them, give or take a few words.'"
    shared = "author, author_fullname, body, score, created_at, is_edited, distinguished, is_stickied, state, is_author_deleted, first_seen_at, last_seen_at, missing_count"
    no, yes = ("false", "true") if connection.vendor == "postgresql" else ("0", "1")
    values = f"'someone', 't2_x', {body}, 1, {at}, {no}, '', {no}, 'live', {no}, {at}, {at}, 0"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO scraping_redditpost (id, fullname, {shared}, subreddit, title, url, permalink, domain, flair,"
            " num_comments, comments_fetched, is_self, is_over_18, is_spoiler, is_locked, removed_by_category, hold_reason)"
            f" SELECT i, 't3_b' || i, {values}, 'bench', 'A title', '', '', '', '', {comments_per_post}, 0, {yes}, {no}, {no}, {no}, '', ''"
            f" FROM {posted}"
        )
        cursor.execute(
            f"INSERT INTO scraping_redditcomment (fullname, {shared}, post_id, parent_fullname, depth, is_submitter, is_score_hidden)"
            f" SELECT 't1_b' || i || '_' || k, {values}, i, 't3_b' || i, 0, {no}, {no} FROM {posted}, {replies}"
        )
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE scraping_redditpost; ANALYZE scraping_redditcomment")


def in_child(module: str, *arguments: str, database_url: str, **environment: str) -> dict[str, Any]:
    """Run ``python -m module arguments`` on that database; return the JSON object it prints last."""
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url, "LOG_LEVEL": "ERROR", **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return answer


def resident_mb() -> float:
    """Return this process's resident memory in MB (10⁶ bytes)."""
    return float(psutil.Process().memory_info().rss) / 1e6


def scratch_directory() -> str:
    """Return a new directory for files of one benchmark."""
    return tempfile.mkdtemp(prefix="bench-")


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print an aligned table."""
    texts = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in texts) for i in range(len(head))]
    print(f"\n{title}")
    for row in texts:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
