"""What every benchmark needs: a scratch database, rows made by the database itself, child processes, a table."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

BASE_DIR = Path(__file__).resolve().parent.parent


def set_up() -> None:
    """Start Django with the environment as it is."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    import django

    django.setup()


@contextmanager
def scratch_database() -> Iterator[str]:
    """Create a migrated database of its own beside the configured one; drop it at the end. Yields its URL."""
    from django.db import connection

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
        connection.creation.destroy_test_db(name, verbosity=0)


def fill_content(*, posts: int, comments_per_post: int, expired: int, first: int = 0) -> None:
    """Insert posts with comments by SQL; ``expired`` of the posts are 200 days old, the rest one day."""
    from django.db import connection

    series = (
        f"generate_series({first + 1}, {first + posts}) AS n(i)"
        if connection.vendor == "postgresql"
        else f"(WITH RECURSIVE n(i) AS (SELECT {first + 1} UNION ALL SELECT i + 1 FROM n WHERE i < {first + posts}) SELECT i FROM n) AS n"
    )
    replies = (
        f"generate_series(1, {comments_per_post}) AS c(k)"
        if connection.vendor == "postgresql"
        else f"(WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c WHERE k < {comments_per_post}) SELECT k FROM c) AS c"
    )
    ago = (
        "now() - interval '1 day' * {days} - interval '1 second' * i"
        if connection.vendor == "postgresql"
        else "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{days} days', '-' || i || ' seconds')"
    )
    at = f"CASE WHEN i <= {first + expired} THEN {ago.format(days=200)} ELSE {ago.format(days=1)} END"
    body = "'A comment of ordinary length, about as long as people write them, give or take a few words.'"
    shared = "author, author_fullname, body, score, created_at, is_edited, distinguished, is_stickied, state, is_author_deleted, first_seen_at, last_seen_at, missing_count"
    no, yes = ("false", "true") if connection.vendor == "postgresql" else ("0", "1")
    values = f"'someone', 't2_x', {body}, 1, {at}, {no}, '', {no}, 'live', {no}, {at}, {at}, 0"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO scraping_redditpost (id, fullname, {shared}, subreddit, title, url, permalink, domain, flair,"
            " num_comments, comments_fetched, is_self, is_over_18, is_spoiler, is_locked, removed_by_category, hold_reason)"
            f" SELECT i, 't3_b' || i, {values}, 'bench', 'A title', '', '', '', '', {comments_per_post}, 0, {yes}, {no}, {no}, {no}, '', ''"
            f" FROM {series}"
        )
        cursor.execute(
            f"INSERT INTO scraping_redditcomment (fullname, {shared}, post_id, parent_fullname, depth, is_submitter, is_score_hidden)"
            f" SELECT 't1_b' || i || '_' || k, {values}, i, 't3_b' || i, 0, {no}, {no} FROM {series}, {replies}"
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
