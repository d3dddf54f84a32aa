"""Compares dropping monthly range partitions with the purge's batches: speed, locks, and costs elsewhere.

``python -m bench.partitions [posts] [rounds]`` prints the tables; PostgreSQL only. The peers are
``purge_old_content`` on our tables, and the same rows in partitioned copies of them (partitions of 30 days over one
year, half of it expired). Each expired month is detached and dropped, comments first: with the foreign key from
comments to posts, without it, and with held posts that must be kept. All are measured in every round.
"""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from bench import harness
from bench.everyday_costs import POST, everyday_costs

POSTS, COMMENTS_PER_POST, ROUNDS = 20_000, 10, 3
MONTHS, EXPIRED_MONTHS, DAYS_OF_MONTH = 12, 6, 30
HELD_ONE_IN = 100
COMMENT = "scraping_redditcomment"
# Partitioned copies: two whose months are dropped whole, and one of which held posts are kept.
COPIES = ("whole", "loose", "held")
NEAR_CUTOFF = 1_000


# --- The tables --------------------------------------------------------------------------------


def fill(posts: int) -> None:
    """Fill our tables, spread the posts evenly over a year, and copy them into new partitioned ones."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {POST}, {COMMENT}, scraping_postsighting")
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
    """Yield the statements that create the partitioned tables.

    A comment is deleted with its post, so it is partitioned by the post's time, which its row must contain.
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
    """Yield the statements that create our indexes on them.

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
    """Return the months that are completely before the cutoff, oldest first."""
    return range(MONTHS, EXPIRED_MONTHS - 1, -1)


# --- The measurements, each in a separate process ------------------------------------------------


def batches() -> dict[str, float]:
    """Purge our tables as a worker does."""
    from maintenance.ledger import performing, requests
    from maintenance.models import JobRun

    performing.preview("cleanup_tokens")  # so that imports and connections are not measured
    days = EXPIRED_MONTHS * DAYS_OF_MONTH
    run = requests.request_run(job="purge_old_content", trigger="command", params={"days": days}, send=False)
    started = time.monotonic()
    performing.perform(run)
    seconds = time.monotonic() - started
    run = JobRun.objects.get(pk=run.pk)
    assert run.status == JobRun.Status.SUCCEEDED, run.error or run.message
    return {"rows": sum(run.counts.values()), "seconds": seconds}


def drop_whole() -> dict[str, float]:
    """Detach and drop the expired months, with one transaction per month."""
    return _drop("whole", keep_held=False)


def drop_loose() -> dict[str, float]:
    """The same without a foreign key, so comments without a post are possible."""
    return _drop("loose", keep_held=False)


def drop_but_held() -> dict[str, float]:
    """Like ``drop_whole``, but copy held posts and their comments to a new partition in the same transaction."""
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

    A detached table of comments keeps its foreign key, which cannot be dropped in PostgreSQL 15: the table must be
    dropped before the posts can be detached. So the comments to keep are moved to a temporary table meanwhile.
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
    """One connection that updates posts just younger than the cutoff, and the durations of the updates in ms."""

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
        from django.db import connection  # the connection of this thread

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
                # With the time: otherwise the server would search and lock every partition.
                cursor.execute(
                    f"UPDATE {self._table} SET score = score + 1 WHERE id = %s AND created_at = %s", post
                )
                self.took.append((time.monotonic() - started) * 1000)
        connection.close()

    def p99(self) -> float:
        """The 99th percentile, or the largest of few values."""
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * 0.99))]


PEERS = {
    "purge_old_content, batches": ("batches", POST),
    "DETACH and DROP of whole months": ("drop_whole", "whole_post"),
    "the same, no foreign key": ("drop_loose", "loose_post"),
    "with the key, 1 % held and moved": ("drop_but_held", "held_post"),
}


class Rounds:
    """The measurements of each peer, by round."""

    def __init__(self) -> None:
        self.speed: dict[str, list[float]] = {label: [] for label in PEERS}
        self.longest: dict[str, list[float]] = {label: [] for label in PEERS}
        self.waited: dict[str, list[float]] = {label: [] for label in (*PEERS, "idle")}
        self.worst: dict[str, list[float]] = {label: [] for label in (*PEERS, "idle")}
        self.everyday: dict[str, list[tuple[float, float]]] = {}

    def measure(self, url: str, number: int, posts: int) -> None:
        """Measure everything once; the order of the peers rotates."""
        from django.db import connection

        fill(posts)
        for title, cost in everyday_costs().items():
            self.everyday.setdefault(title, []).append(cost)
        connection.close()
        with Updates(POST) as updates:
            time.sleep(2)
        self.waited["idle"].append(updates.p99())
        self.worst["idle"].append(max(updates.took))
        order = list(PEERS.items())
        for label, (part, table) in order[number % len(order) :] + order[: number % len(order)]:
            with Updates(table) as updates:
                answer = harness.in_child("bench.partitions", part, database_url=url, PURGE_CAP_SHARE="1")
            self.speed[label].append(answer["rows"] / answer["seconds"])
            self.longest[label].append(answer.get("longest", 0.0) * 1000)
            self.waited[label].append(updates.p99())
            self.worst[label].append(max(updates.took))


def print_rounds(measured: Rounds, posts: int, rounds: int) -> None:
    """Print both tables: the purge, and the everyday costs of partitions."""
    ours = median(measured.speed["purge_old_content, batches"])
    rows: list[list[Any]] = [
        [
            "idle",
            "",
            "",
            "",
            f"{median(measured.waited['idle']):.1f}",
            f"{median(measured.worst['idle']):.0f}",
        ]
    ]
    rows += [
        [
            label,
            f"{median(measured.speed[label]):,.0f}",
            f"{median(measured.speed[label]) / ours:.1f}",
            f"{median(measured.longest[label]):.0f}" if any(measured.longest[label]) else "",
            f"{median(measured.waited[label]):.1f}",
            f"{median(measured.worst[label]):.0f}",
        ]
        for label in PEERS
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
            for title, costs in measured.everyday.items()
        ],
    )


def main(posts: int, rounds: int) -> None:
    """Print both tables for the configured database."""
    from django.db import connection

    if connection.vendor != "postgresql":
        print("  Partitions are PostgreSQL's: set DATABASE_URL to measure them.")
        return
    measured = Rounds()
    with harness.scratch_database() as url:
        for number in range(rounds):
            measured.measure(url, number, posts)
    print_rounds(measured, posts, rounds)


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
