"""The cost of a scrape and of a re-check on our tables, and on the partitioned copies of ``bench.partitions``."""

import statistics
import time

POST = "scraping_redditpost"


def timed(statement: str, repeat: int) -> float:
    """Return the median duration of a statement in milliseconds."""
    from django.db import connection

    took = []
    with connection.cursor() as cursor:
        for _ in range(repeat):
            started = time.monotonic()
            cursor.execute(statement)
            took.append((time.monotonic() - started) * 1000)
    return statistics.median(took)


COLUMNS = (
    "fullname, author, author_fullname, body, score, created_at, is_edited, distinguished, is_stickied, state,"
    " is_author_deleted, first_seen_at, last_seen_at, missing_count, subreddit, title, url, permalink, domain,"
    " flair, num_comments, comments_fetched, is_self, is_over_18, is_spoiler, is_locked, removed_by_category,"
    " hold_reason"
)


def upsert(table: str, conflict: str) -> str:
    """Return the statement that stores a thousand posts of the first month again, with another score."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(id) FROM {POST}")
        last = cursor.fetchone()[0] + 1
    ids = "" if table == POST else "id, "
    number = "" if table == POST else f"{last} + row_number() OVER (), "
    return (
        f"INSERT INTO {table} ({ids}{COLUMNS}) SELECT {number}{COLUMNS} FROM {POST} ORDER BY id LIMIT 1000"
        f" ON CONFLICT ({conflict}) DO UPDATE SET score = excluded.score + 1"
    )


def everyday_costs() -> dict[str, tuple[float, float]]:
    """Return the milliseconds of each operation of a scrape and a re-check, on our tables and on partitioned ones."""
    names = ", ".join(f"'t3_b{number}'" for number in range(1, 101))
    costs = {}
    for title, ours, theirs, repeat in (
        (
            "find 100 posts by fullname",
            f"SELECT id FROM {POST} WHERE fullname IN ({names})",
            f"SELECT id FROM whole_post WHERE fullname IN ({names})",
            50,
        ),
        (
            "upsert 1,000 known posts",
            upsert(POST, "fullname"),
            upsert("whole_post", "fullname, created_at"),
            5,
        ),
        (
            "the 500 least recently checked",
            f"SELECT id FROM {POST} ORDER BY checked_at NULLS FIRST LIMIT 500",
            "SELECT id FROM whole_post ORDER BY checked_at NULLS FIRST LIMIT 500",
            20,
        ),
    ):
        costs[title] = (timed(ours, repeat), timed(theirs, repeat))
    return costs
