"""Memory of the two jobs with the most rows: a purge of a million rows, a scrape of 20,000 comments.

``python -m bench.memory`` prints the tables; the peer of the purge is Django's ``QuerySet.delete()``, comments
first, each in one transaction (the database performs our cascade, so Django does not collect rows for it).
"""

import json
import os
import sys
import threading
import time

from bench import harness

POSTS, COMMENTS_PER_POST = 91_000, 10  # 1,001,000 rows
SURVIVORS = 1_000


class Peak:
    """The highest resident memory during the block, sampled every 20 ms."""

    def __enter__(self) -> "Peak":
        self.before = self.highest = harness.resident_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.highest = max(self.highest, harness.resident_mb())

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.highest = max(self.highest, harness.resident_mb())


def purge_by_job() -> dict[str, float]:
    """Purge as a worker does: request a run, perform it."""
    from maintenance.ledger import performing, requests
    from maintenance.models import JobRun

    performing.preview("cleanup_tokens")  # so that imports and connections do not count as growth
    run = requests.request_run(job="purge_old_content", trigger="command", send=False)
    started = time.monotonic()
    with Peak() as peak:
        performing.perform(run)
    run = JobRun.objects.get(pk=run.pk)
    assert run.status == JobRun.Status.SUCCEEDED, run.error or run.message
    rows = sum(run.counts.values())
    return {"rows": rows, "seconds": time.monotonic() - started, "growth_mb": peak.highest - peak.before}


def purge_by_queryset() -> dict[str, float]:
    """Purge as Django does: comments and posts collected in Python."""
    from datetime import timedelta

    from django.utils import timezone

    from scraping.models import RedditComment, RedditPost

    cutoff = timezone.now() - timedelta(days=90)
    RedditPost.objects.filter(pk=-1).delete()
    started = time.monotonic()
    with Peak() as peak:
        rows = RedditComment.objects.filter(post__created_at__lt=cutoff).delete()[0]
        rows += RedditPost.objects.filter(created_at__lt=cutoff).delete()[0]
    return {"rows": rows, "seconds": time.monotonic() - started, "growth_mb": peak.highest - peak.before}


def scrape() -> dict[str, float]:
    """Scrape the sandbox at SANDBOX_URL until 1,000 posts and their comments are stored."""
    from django.contrib.auth.models import User

    from maintenance.ledger import performing, requests
    from maintenance.models import JobRun
    from scraping.models import BotConfig, RedditComment, RedditPost

    owner = User.objects.create(username="bench")
    config = BotConfig.objects.create(
        owner=owner, name="bench", subreddits=["sandbox_quiet"], post_limit=1_000, comment_policy="complete",
        comment_limit=100_000, comment_depth=100,
    )  # fmt: skip
    run = requests.request_run(job="scrape_now", trigger="command", params={"config": config.pk}, send=False)
    started = time.monotonic()
    with Peak() as peak:
        performing.perform(run)
    run = JobRun.objects.get(pk=run.pk)
    return {
        "posts": RedditPost.objects.count(),
        "comments": RedditComment.objects.count(),
        "seconds": time.monotonic() - started,
        "peak_mb": peak.highest,
        "growth_mb": peak.highest - peak.before,
    }


def main() -> None:
    """Print both tables for the configured database."""
    from django.db import connection

    rows = []
    for label, part in (
        ("purge_old_content", "purge_by_job"),
        ("QuerySet.delete(), comments first", "purge_by_queryset"),
    ):
        with harness.scratch_database() as url:
            harness.fill_content(posts=POSTS + SURVIVORS, comments_per_post=COMMENTS_PER_POST, expired=POSTS)
            connection.close()
            answer = harness.in_child("bench.memory", part, database_url=url)
        rows.append([label, f"{answer['rows']:,}", f"{answer['seconds']:.1f}", f"{answer['growth_mb']:.1f}"])
    harness.print_table(
        f"Purging {POSTS * (1 + COMMENTS_PER_POST):,} rows on {connection.vendor}",
        ["", "rows", "seconds", "memory growth, MB"],
        rows,
    )

    from scraping.sandbox import SandboxReddit, items

    # One comment in twenty is deleted, and the youngest posts do not have all their comments yet.
    items.Post.comment_total = property(lambda post: 23)  # type: ignore[assignment,method-assign]
    with harness.scratch_database() as url, SandboxReddit(rate_limit=1_000_000) as reddit:
        connection.close()
        answer = harness.in_child(
            "bench.memory", "scrape", database_url=url,
            REDDIT_CLIENT_ID="sandbox", REDDIT_CLIENT_SECRET="sandbox", REDDIT_USER_AGENT="bench:sandbox:1 (by /u/bench)",
            REDDIT_URL=reddit.url, REDDIT_OAUTH_URL=reddit.url,
        )  # fmt: skip
    harness.print_table(
        f"Scraping on {connection.vendor}",
        ["posts", "comments", "seconds", "peak memory, MB", "growth, MB"],
        [
            [
                f"{answer['posts']:,}",
                f"{answer['comments']:,}",
                f"{answer['seconds']:.1f}",
                f"{answer['peak_mb']:.0f}",
                f"{answer['growth_mb']:.0f}",
            ]
        ],
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    if len(sys.argv) > 1:
        parts = {"purge_by_job": purge_by_job, "purge_by_queryset": purge_by_queryset, "scrape": scrape}
        print(json.dumps(parts[sys.argv[1]]()))
    else:
        main()
