"""Monthly range partitions, dropped whole, against the purge's batches: speed, locks, and what they cost elsewhere.

``python -m bench.partitions [posts] [rounds]`` prints the tables; PostgreSQL only. The peers are
``purge_old_content`` on our tables, and the same rows in partitioned copies of them (30 days each, one year, half of
it expired) of which each expired month is detached and dropped, its comments first: with the foreign key from comments
to posts, without one, and with held posts to keep. All are measured in every round.
"""

import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from bench import harness

POSTS, COMMENTS_PER_POST, ROUNDS = 20_000, 10, 3
MONTHS, EXPIRED_MONTHS, DAYS_OF_MONTH = 12, 6, 30
HELD_ONE_IN = 100
POST, COMMENT = "scraping_redditpost", "scraping_redditcomment"
# Partitioned copies: two to drop whole, one of which held posts survive.
COPIES = ("whole", "loose", "held")
NEAR_CUTOFF = 1_000


# --- The tables --------------------------------------------------------------------------------


def fill(posts: int) -> None:
    """Fill our tables, spread the posts evenly over a year, and copy them into new partitioned ones."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {POST}, {COMMENT}")
        for copy in COPIES:
            cursor.execute(f"DROP TABLE IF EXISTS {copy}_comment, {copy}_post")
    harness.fill_content(posts=posts, comments_per_post=COMMENTS_PER_POST, expired=0)
    seconds = MONTHS * DAYS_OF_MONTH * 86_400 / posts
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {POST} SET created_at = now() - id * interval '{seconds} seconds'")
        for copy in COPIES:
            for statement in tables(copy):
                cursor.execute(statement)
            cursor.execute(f"INSERT INTO {copy}_post SELECT * FROM {POST}")
            cursor.execute(
                f"INSERT INTO {copy}_comment SELECT c.*, p.created_at FROM {COMMENT} c JOIN {POST} p ON p.id = c.post_id"
            )
            for statement in keys(copy):
                cursor.execute(statement)
        cursor.execute(
            f"UPDATE held_post SET held_at = now(), hold_reason = 'x' WHERE id %% {HELD_ONE_IN} = 0", []
        )
        for table in (POST, COMMENT, *(f"{copy}_{kind}" for copy in COPIES for kind in ("post", "comment"))):
            cursor.execute(f"VACUUM ANALYZE {table}")


def tables(copy: str) -> Iterator[str]:
    """Yield the statements that make the partitioned tables.

    A comment goes with its post, so it is partitioned by the post's time, which it must carry.
    """
    post, comment = f"{copy}_post", f"{copy}_comment"
    like = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
    yield f"CREATE TABLE {post} (LIKE {POST} {like}) PARTITION BY RANGE (created_at)"
    yield (
        f"CREATE TABLE {comment} (LIKE {COMMENT} {like}, post_created_at timestamptz NOT NULL)"
        " PARTITION BY RANGE (post_created_at)"
    )
    for month in range(-1, MONTHS + 1):
        for table in (post, comment):
            yield f"CREATE TABLE {table}_{month + 1} PARTITION OF {table} {of_month(month)}"


def keys(copy: str) -> Iterator[str]:
    """Yield the statements that give them our indexes.

    Keys must contain the partition key: a fullname is unique only together with a time.
    """
    post, comment = f"{copy}_post", f"{copy}_comment"
    yield f"ALTER TABLE {post} ADD PRIMARY KEY (created_at, id), ADD UNIQUE (fullname, created_at)"
    yield f"CREATE INDEX ON {post} (subreddit, created_at DESC)"
    yield f"CREATE INDEX ON {post} (checked_at)"
    yield f"CREATE INDEX ON {post} (session_id)"
    yield f"CREATE INDEX ON {post} (held_until) WHERE held_at IS NOT NULL"
    yield f"ALTER TABLE {comment} ADD PRIMARY KEY (post_created_at, id), ADD UNIQUE (fullname, post_created_at)"
    yield f"CREATE INDEX ON {comment} (post_id)"
    yield f"CREATE INDEX ON {comment} (checked_at)"
    if copy != "loose":
        yield (
            f"ALTER TABLE {comment} ADD FOREIGN KEY (post_created_at, post_id) REFERENCES {post} (created_at, id)"
            " ON DELETE CASCADE"
        )


def of_month(month: int) -> str:
    """Return the bounds of a partition; month 0 ends today."""
    days = month * DAYS_OF_MONTH
    return f"FOR VALUES FROM (current_date - {days + DAYS_OF_MONTH} + 1) TO (current_date - {days} + 1)"


def months_to_drop() -> range:
    """Return the months that lie wholly before the cutoff, oldest first."""
    return range(MONTHS, EXPIRED_MONTHS - 1, -1)


# --- What is measured, each in a process of its own ----------------------------------------------


def batches() -> dict[str, float]:
    """Purge our tables as a worker does."""
    from maintenance.ledger import performing, requests
    from maintenance.models import JobRun

    performing.preview("cleanup_tokens")  # imports and connections are no work
    days = EXPIRED_MONTHS * DAYS_OF_MONTH
    run = requests.request_run(job="purge_old_content", trigger="command", params={"days": days}, send=False)
    started = time.monotonic()
    performing.perform(run)
    seconds = time.monotonic() - started
    run = JobRun.objects.get(pk=run.pk)
    assert run.status == JobRun.Status.SUCCEEDED, run.error or run.message
    return {"rows": sum(run.counts.values()), "seconds": seconds}


def drop_whole() -> dict[str, float]:
    """Detach and drop the expired months, a transaction each."""
    return _drop("whole", keep_held=False)


def drop_loose() -> dict[str, float]:
    """The same without a foreign key: nothing keeps comments of no post out."""
    return _drop("loose", keep_held=False)


def drop_but_held() -> dict[str, float]:
    """As ``drop_whole``, but held posts and their comments are copied into a new partition in the same transaction."""
    return _drop("held", keep_held=True)


def _drop(copy: str, *, keep_held: bool) -> dict[str, float]:
    from django.db import connection, transaction

    rows, longest, seconds = 0, 0.0, 0.0
    for month in months_to_drop():
        with connection.cursor() as cursor:
            for kind in ("comment", "post"):
                cursor.execute(f"SELECT count(*) FROM {copy}_{kind}_{month + 1}")
                rows += cursor.fetchone()[0]
            began = time.monotonic()
            with transaction.atomic():
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                for statement in dropping(copy, month, keep_held=keep_held):
                    cursor.execute(statement)
            took = time.monotonic() - began
            seconds, longest = seconds + took, max(longest, took)
    return {"rows": rows, "seconds": seconds, "longest": longest}


def dropping(copy: str, month: int, *, keep_held: bool) -> Iterator[str]:
    """Yield the statements that drop a month, its comments before its posts.

    A detached table of comments keeps its foreign key, and PostgreSQL 15 does not let go of it: it must be gone
    before the posts can be detached. So what is kept of it waits in a temporary table.
    """
    comment, post = f"{copy}_comment_{month + 1}", f"{copy}_post_{month + 1}"
    yield f"ALTER TABLE {copy}_comment DETACH PARTITION {comment}"
    if keep_held:
        yield (
            f"CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT c.* FROM {comment} c"
            f" JOIN {post} p ON p.id = c.post_id WHERE p.held_at IS NOT NULL"
        )
    yield f"DROP TABLE {comment}"
    yield f"ALTER TABLE {copy}_post DETACH PARTITION {post}"
    if keep_held:
        for kind, kept in (("post", f"{post} WHERE held_at IS NOT NULL"), ("comment", "kept")):
            yield f"CREATE TABLE {copy}_{kind}_kept_{month + 1} PARTITION OF {copy}_{kind} {of_month(month)}"
            yield f"INSERT INTO {copy}_{kind} SELECT * FROM {kept}"
    yield f"DROP TABLE {post}"


# --- Beside it -----------------------------------------------------------------------------------


class Updates:
    """One connection that updates posts just younger than the cutoff, and how long each update took, in ms."""

    def __init__(self, table: str) -> None:
        self._table = table
        self.took: list[float] = []

    def __enter__(self) -> "Updates":
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        from django.db import connection  # of this thread

        chance = random.Random(1)
        with connection.cursor() as cursor:
            days = EXPIRED_MONTHS * DAYS_OF_MONTH - 1
            cursor.execute(
                f"SELECT id, created_at FROM {self._table} WHERE created_at > now() - interval '{days} days'"
                " ORDER BY created_at LIMIT %s",
                [NEAR_CUTOFF],
            )
            near = cursor.fetchall()
            while not self._ended.wait(0.002):
                post = chance.choice(near)
                started = time.monotonic()
                # With the time, or the server would look into, and lock, every partition.
                cursor.execute(
                    f"UPDATE {self._table} SET score = score + 1 WHERE id = %s AND created_at = %s", post
                )
                self.took.append((time.monotonic() - started) * 1000)
        connection.close()

    def p99(self) -> float:
        """The 99th percentile; where there are few, the greatest."""
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * 0.99))]


def everyday_costs() -> dict[str, tuple[float, float]]:
    """Return milliseconds on our tables and on partitioned ones of what a scrape and a re-check do."""
    from django.db import connection

    def timed(statement: str, repeat: int) -> float:
        took = []
        with connection.cursor() as cursor:
            for _ in range(repeat):
                started = time.monotonic()
                cursor.execute(statement)
                took.append((time.monotonic() - started) * 1000)
        return statistics.median(took)

    columns = (
        "fullname, author, author_fullname, body, score, created_at, is_edited, distinguished, is_stickied, state,"
        " is_author_deleted, first_seen_at, last_seen_at, missing_count, subreddit, title, url, permalink, domain,"
        " flair, num_comments, comments_fetched, is_self, is_over_18, is_spoiler, is_locked, removed_by_category,"
        " hold_reason"
    )

    def upsert(table: str, conflict: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT max(id) FROM {POST}")
            last = cursor.fetchone()[0] + 1
        ids = "" if table == POST else "id, "
        number = "" if table == POST else f"{last} + row_number() OVER (), "
        # Known posts of the first month; a second sight changes the score.
        return (
            f"INSERT INTO {table} ({ids}{columns}) SELECT {number}{columns} FROM {POST} ORDER BY id LIMIT 1000"
            f" ON CONFLICT ({conflict}) DO UPDATE SET score = excluded.score + 1"
        )

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


def main(posts: int, rounds: int) -> None:
    """Print both tables for the configured database."""
    from django.db import connection

    if connection.vendor != "postgresql":
        print("  Partitions are PostgreSQL's: set DATABASE_URL to measure them.")
        return
    peers = {
        "purge_old_content, batches": ("batches", POST),
        "DETACH and DROP of whole months": ("drop_whole", "whole_post"),
        "the same, no foreign key": ("drop_loose", "loose_post"),
        "with the key, 1 % held and moved": ("drop_but_held", "held_post"),
    }
    speed: dict[str, list[float]] = {label: [] for label in peers}
    longest: dict[str, list[float]] = {label: [] for label in peers}
    waited: dict[str, list[float]] = {label: [] for label in (*peers, "idle")}
    worst: dict[str, list[float]] = {label: [] for label in (*peers, "idle")}
    everyday: dict[str, list[tuple[float, float]]] = {}
    with harness.scratch_database() as url:
        for number in range(rounds):
            fill(posts)
            for title, cost in everyday_costs().items():
                everyday.setdefault(title, []).append(cost)
            connection.close()
            with Updates(POST) as updates:
                time.sleep(2)
            waited["idle"].append(updates.p99())
            worst["idle"].append(max(updates.took))
            order = list(peers.items())
            for label, (part, table) in order[number % len(order) :] + order[: number % len(order)]:
                with Updates(table) as updates:
                    answer = harness.in_child("bench.partitions", part, database_url=url)
                speed[label].append(answer["rows"] / answer["seconds"])
                longest[label].append(answer.get("longest", 0.0) * 1000)
                waited[label].append(updates.p99())
                worst[label].append(max(updates.took))

    def median(numbers: list[float]) -> float:
        return statistics.median(numbers)

    ours = median(speed["purge_old_content, batches"])
    rows: list[list[Any]] = [
        ["idle", "", "", "", f"{median(waited['idle']):.1f}", f"{median(worst['idle']):.0f}"]
    ]
    rows += [
        [
            label,
            f"{median(speed[label]):,.0f}",
            f"{median(speed[label]) / ours:.1f}",
            f"{median(longest[label]):.0f}" if any(longest[label]) else "",
            f"{median(waited[label]):.1f}",
            f"{median(worst[label]):.0f}",
        ]
        for label in peers
    ]
    harness.print_table(
        f"Purging half of {posts * (1 + COMMENTS_PER_POST):,} rows, medians of {rounds} rounds",
        ["", "rows/s", "ratio", "longest transaction, ms", "p99 of an update, ms", "slowest update, ms"],
        rows,
    )
    harness.print_table(
        f"Every day, with {MONTHS + 2} partitions, ms",
        ["", "our tables", "partitioned", "ratio"],
        [
            [
                title,
                f"{median([one for one, _ in costs]):.2f}",
                f"{median([other for _, other in costs]):.2f}",
                f"{median([other / one for one, other in costs]):.1f}",
            ]
            for title, costs in everyday.items()
        ],
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    parts = {
        "batches": batches,
        "drop_whole": drop_whole,
        "drop_loose": drop_loose,
        "drop_but_held": drop_but_held,
    }
    if sys.argv[1:] and sys.argv[1] in parts:
        print(json.dumps(parts[sys.argv[1]]()))
    else:
        numbers = [int(argument) for argument in sys.argv[1:]]
        main(*(numbers + [POSTS, ROUNDS][len(numbers) :]))
