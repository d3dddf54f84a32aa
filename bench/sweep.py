"""Verifies 100,000 stored items with Reddit in 1,000 requests, through PRAW over a socket; memory must stay flat.

``python -m bench.sweep`` prints the table for the configured database. One item in ten was deleted on Reddit, and one
in ten has a new score. The server runs in this process, the sweep in a child.
"""

import json
import os
import sys
import time
from typing import Any

from bench import harness, ingest

POSTS, COMMENTS = 10_000, 90_000
REQUESTS = (POSTS + COMMENTS) // 100
SAMPLES = 10


def stored(fullname: str) -> dict[str, Any]:
    """Return an item in its stored state."""
    kind, _, number = fullname.partition("_")
    raw = ingest.raw_item(kind, int(number))
    body = f"The text of {fullname}, about as long as people write them. " * 6
    if kind == "t3":
        return raw | {
            "subreddit": "bench",
            "title": f"Title of {fullname}",
            "selftext": body,
            "is_robot_indexable": True,
        }
    post = f"t3_{int(number) % POSTS:08d}"
    return raw | {"link_id": post, "parent_id": post, "body": body}


class OnReddit(dict[str, Any]):
    """The state of every item, computed on request."""

    def __contains__(self, fullname: object) -> bool:
        return True

    def __missing__(self, fullname: str) -> dict[str, Any]:
        raw = stored(fullname)
        match int(fullname[3:]) % 10:
            case 0:
                return raw | {"body": "[deleted]", "selftext": "[deleted]", "author": "[deleted]"}
            case 1:
                return raw | {"score": raw["score"] + 1}
        return raw


def fill() -> None:
    """Store all items."""
    from datetime import UTC, datetime

    from scraping.content.storage import store_comments, store_posts
    from scraping.models import RedditPost

    at = datetime(2026, 1, 1, tzinfo=UTC)
    for first in range(0, POSTS, 500):
        store_posts([stored(f"t3_{n:08d}") for n in range(first, first + 500)], session=None, seen_at=at)
    for number, post in enumerate(RedditPost.objects.order_by("fullname")[: COMMENTS // 500]):
        page = [
            stored(f"t1_{n:08d}") | {"link_id": post.fullname}
            for n in range(number * 500, number * 500 + 500)
        ]
        store_comments(post, page, seen_at=at)


class Memory:
    """A progress that records the resident memory at intervals."""

    def __init__(self) -> None:
        self.samples: list[float] = []

    def report(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Record it after every tenth of the work."""
        if done % ((POSTS + COMMENTS) // SAMPLES) == 0:
            self.samples.append(harness.resident_mb())

    def log(self, text: str, level: str = "info") -> None:
        """Do nothing."""

    def checkpoint(self) -> None:
        """Never stop."""


def sweep() -> dict[str, Any]:
    """Verify everything once."""
    from scraping.compliance.coverage import coverage
    from scraping.compliance.sweep import refresh_stored_content

    memory = Memory()
    started, cpu = time.monotonic(), time.process_time()
    counts = refresh_stored_content(memory, max_requests=REQUESTS).counts
    return {
        "seconds": time.monotonic() - started,
        "cpu": time.process_time() - cpu,
        "memory": memory.samples,
        "covered": coverage().percent,
        **counts,
    }


def main() -> None:
    """Print the table for the configured database."""
    from django.db import connection

    from tests.scraping.reddit_replay import RedditReplay

    with harness.scratch_database() as url, RedditReplay() as reddit:
        reddit.known = OnReddit()
        fill()
        connection.close()
        answer = harness.in_child(
            "bench.sweep", "sweep", database_url=url,
            REDDIT_CLIENT_ID="bench", REDDIT_CLIENT_SECRET="bench", REDDIT_USER_AGENT="bench:sweep:1 (by /u/bench)",
            REDDIT_URL=reddit.url, REDDIT_OAUTH_URL=reddit.url,
        )  # fmt: skip
        asked = len(reddit.asked(path="/api/info"))
    memory = answer["memory"]
    harness.print_table(
        f"Verifying {POSTS + COMMENTS:,} items on {connection.vendor}",
        [
            "requests",
            "checked",
            "updated",
            "deleted",
            "unchanged",
            "seconds",
            "CPU s",
            "MB after 10 %",
            "MB at the end",
        ],
        [
            [
                asked,
                f"{answer['checked']:,}",
                f"{answer['updated']:,}",
                f"{answer['deleted']:,}",
                f"{answer['unchanged']:,}",
                f"{answer['seconds']:.0f}",
                f"{answer['cpu']:.0f}",
                f"{memory[0]:.1f}",
                f"{memory[-1]:.1f}",
            ]
        ],
    )
    assert (asked, answer["checked"], answer["covered"]) == (REQUESTS, POSTS + COMMENTS, 100)


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    if len(sys.argv) > 1:
        print(json.dumps(sweep()))
    else:
        main()
