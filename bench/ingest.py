"""Storing 20,000 posts and 200,000 comments, half of them known, half of those changed.

``python -m bench.ingest`` prints the table for the configured database. Every method starts with the same rows, made
from Reddit's JSON and in the order of their fullnames; the last line shows the cost of making them. The methods take
turns; the table has the medians of the rounds. Posts come in pages of 100, comments in pages of 500, with one
transaction per page. A peer that is too slow for all rows stores a sample, and the table says so.
"""

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from bench import harness
from bench.ingest_peers import (
    SEEN_AT,
    Page,
    Raw,
    bulk_create,
    copy_batches,
    executemany,
    one_by_one,
    ours,
    plain_pages,
    without_sightings,
)

POSTS, COMMENTS = 20_000, 200_000
POST_PAGE, COMMENT_PAGE = 100, 500
COPY_BATCH = 10_000
ROUNDS = 3

WORDS = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet,",
    "it's",
    '"quoted"',
    "back\\slash\n",
    "elit",
    "é",
    "ü",
    "中文",
    "😀",
    "adipiscing",
    "consectetur",
]


def text(chance: random.Random, longest: int) -> str:
    """Return a text of up to that many words."""
    return " ".join(chance.choices(WORDS, k=chance.randint(1, longest)))


def raw_item(kind: str, number: int) -> Raw:
    """Return the fields that posts and comments share."""
    return {
        "name": f"{kind}_{number:08d}",
        "author": f"author{number % 5000}",
        "author_fullname": f"t2_{number % 5000}",
        "score": number % 100,
        "created_utc": 1_700_000_000.0 + number,
        "edited": False,
        "distinguished": None,
        "stickied": False,
    }


def raw_posts() -> list[Raw]:
    """Return 20,000 posts in random order."""
    chance = random.Random(1)
    posts = [
        raw_item("t3", number)
        | {
            "subreddit": f"bench{number % 20}",
            "title": text(chance, 15),
            "selftext": text(chance, 80),
            "url": f"https://example.org/{number}",
            "permalink": f"/r/bench/comments/{number}/a_title/",
            "domain": "example.org",
            "link_flair_text": "News",
            "preview": {"images": [{"source": {"url": f"https://i.example.org/{number}", "width": 640}}]},
            "upvote_ratio": 0.93,
            "num_comments": 10,
            "over_18": False,
        }
        for number in range(POSTS)
    ]
    chance.shuffle(posts)
    return posts


def raw_comments(fullname: str, first: int, chance: random.Random) -> list[Raw]:
    """Return a page of comments of one post, in random order."""
    page = [
        raw_item("t1", number)
        | {"link_id": fullname, "parent_id": fullname, "body": text(chance, 50), "depth": number % 8}
        for number in range(first, first + COMMENT_PAGE)
    ]
    chance.shuffle(page)
    return page


def known_half(page: list[Raw]) -> list[Raw]:
    """Return every second item in its earlier state: half of these with another score."""
    return [raw | {"score": raw["score"] + number % 2} for number, raw in enumerate(page[::2])]


# Parents before children.
TABLES = ("redditpost", "postsighting", "redditcomment")


class Bench:
    """The pages, and the state of the database before them."""

    def __init__(self) -> None:
        from django.contrib.auth.models import User

        from scraping.content.storage import store_comments, store_posts
        from scraping.models import BotConfig, RedditPost, ScrapeSession

        bot = BotConfig.objects.create(owner=User.objects.create(), name="bench", subreddits=["bench"])
        self.session = ScrapeSession.objects.create(config=bot, config_name=bot.name)
        posts = raw_posts()
        self.post_pages = [posts[start : start + POST_PAGE] for start in range(0, POSTS, POST_PAGE)]
        before = SEEN_AT - timedelta(hours=1)
        for page in self.post_pages:
            store_posts(known_half(page), session=self.session, seen_at=before)
        chance = random.Random(2)
        parents = RedditPost.objects.order_by("pk")[: COMMENTS // COMMENT_PAGE]
        self.comment_pages = [
            (post, raw_comments(post.fullname, number * COMMENT_PAGE, chance))
            for number, post in enumerate(parents)
        ]
        for post, page in self.comment_pages:
            store_comments(post, known_half(page), seen_at=before)
        self._keep()

    def _keep(self) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM scraping_{table}")

    def reset(self) -> None:
        """Restore the known half, without dead rows."""
        from django.db import connection

        is_postgres = connection.vendor == "postgresql"
        with connection.cursor() as cursor:
            if is_postgres:
                cursor.execute("TRUNCATE scraping_redditpost CASCADE")
            for table in reversed(TABLES):
                cursor.execute(f"DELETE FROM scraping_{table}")
            for table in TABLES:
                cursor.execute(f"INSERT INTO scraping_{table} SELECT * FROM kept_{table}")
            for statement in (
                ("VACUUM ANALYZE", "CHECKPOINT") if is_postgres else ("PRAGMA wal_checkpoint(TRUNCATE)",)
            ):
                cursor.execute(statement)

    def raw_pages(self) -> Iterator[tuple[Any, list[Raw]]]:
        """Yield all pages as Reddit sends them, comments with their post."""
        for posts in self.post_pages:
            yield None, posts
        yield from self.comment_pages

    def pages(self, size: int | None) -> list[Page]:
        """Return all pages, or about ``size`` rows in the same proportion."""
        share = 1.0 if size is None else size / (POSTS + COMMENTS)
        posts = self.post_pages[: max(1, round(len(self.post_pages) * share))]
        comments = self.comment_pages[: max(1, round(len(self.comment_pages) * share))]
        return [rows_of(None, page) for page in posts] + [rows_of(post, page) for post, page in comments]


def rows_of(post: Any, items: list[Raw]) -> Page:
    """Return the model, the post's id and the rows of a page, by fullname."""
    from scraping.content.normalise import comment_values, post_values
    from scraping.models import RedditComment, RedditPost

    values_of = comment_values if post else post_values
    rows = sorted(map(values_of, items), key=lambda row: str(row["fullname"]))
    return (RedditComment, {"post_id": post.pk}, rows) if post else (RedditPost, {}, rows)


def ours_from_json(bench: Bench) -> None:
    """Store the pages from Reddit's JSON, as a scrape does."""
    from scraping.content.storage import store_comments, store_posts

    for post, items in bench.raw_pages():
        if post is None:
            store_posts(items, session=bench.session, seen_at=SEEN_AT)
        else:
            store_comments(post, items, seen_at=SEEN_AT)


# Name, function, rows (None: all of them).
Peer = tuple[str, Callable[[list[Page]], None], int | None]


def peers_on(vendor: str) -> list[Peer]:
    """Return the methods to measure on this kind of database; the first is ours."""
    peers: list[Peer] = [
        ("store_posts, store_comments", ours, None),
        ("the same without sightings", without_sightings, None),
        ("update_or_create", one_by_one, 4_400),
        ("bulk_create(update_conflicts=True)", bulk_create, 44_000),
    ]
    if vendor == "postgresql":
        return [
            *peers,
            ("COPY + upsert, the same pages", copy_batches(1), None),
            (f"COPY + upsert, {COPY_BATCH:,} rows at once", copy_batches(COPY_BATCH), None),
        ]
    return [*peers, ("executemany, every row written", executemany, None)]


def measure(peers: list[Peer]) -> tuple[dict[str, list[float]], dict[str, int], list[float]]:
    """Return the rows per second of each peer and round, how many rows it stored, and our rate from Reddit's JSON."""
    rates: dict[str, list[float]] = {name: [] for name, _, _ in peers}
    sizes: dict[str, int] = {}
    from_json: list[float] = []
    bench = Bench()
    for _ in range(ROUNDS):
        for name, store, size in peers:
            bench.reset()
            is_ours = store in (ours, without_sightings)
            pages = bench.pages(size) if size or is_ours else plain_pages(bench.pages(size))
            sizes[name] = sum(len(rows) for _, _, rows in pages)
            started = time.perf_counter()
            store(pages)
            rates[name].append(sizes[name] / (time.perf_counter() - started))
        bench.reset()
        started = time.perf_counter()
        ours_from_json(bench)
        from_json.append((POSTS + COMMENTS) / (time.perf_counter() - started))
    return rates, sizes, from_json


def main() -> None:
    """Print the table for the configured database."""
    from django.db import connection

    peers = peers_on(connection.vendor)
    with harness.scratch_database():
        rates, sizes, from_json = measure(peers)
    median = {name: statistics.median(values) for name, values in rates.items()}
    mine = rates[peers[0][0]]
    table = [
        [
            name,
            f"{sizes[name]:,}",
            f"{median[name]:,.0f}",
            # The ratio of each round, not of the medians: a slow phase of the machine affects both methods of a round.
            f"{statistics.median(a / b for a, b in zip(mine, rates[name], strict=True)):.2f}",
        ]
        for name, _, _ in peers
    ]
    table.append(
        ["ours from Reddit's JSON", f"{POSTS + COMMENTS:,}", f"{statistics.median(from_json):,.0f}", ""]
    )
    harness.print_table(
        f"Storing {POSTS:,} posts and {COMMENTS:,} comments, half known, on {connection.vendor}"
        f" (median of {ROUNDS} rounds)",
        ["", "rows", "rows/s", "ours against it"],
        table,
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    main()
