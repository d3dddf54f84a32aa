"""Measures that Reddit limits a scrape, not our code: the share of its time outside HTTP, at Reddit's pace.

``python -m bench.pace`` scrapes the sandbox and measures the time between requests: parsing answers, the request
budget, storing, checkpoints. At Reddit's pace (100 requests per minute) a request takes 0.6 s. The peer is the same
scrape without a database, which reads the same answers.
"""

import os
import time
from typing import Any

from bench import harness

PACE_SECONDS = 0.6
POSTS = 300


class Clock:
    """Sums the time inside HTTP requests, and counts them."""

    def __init__(self) -> None:
        import requests

        self.seconds, self.requests = 0.0, 0
        plain = requests.Session.send

        def send(session: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
            began = time.perf_counter()
            try:
                return plain(session, *args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began
                self.requests += 1

        requests.Session.send = send  # type: ignore[method-assign,assignment]  # to time it


def scrape(clock: Clock) -> tuple[int, float]:
    """Scrape posts with all their comments as the job does; return requests and seconds outside of them."""
    from django.contrib.auth.models import User

    from scraping.models import BotConfig, ScrapeSession
    from scraping.progress import SilentProgress
    from scraping.sessions.scrape import scrape_config

    owner = User.objects.create(username="bench")
    config = BotConfig.objects.create(
        owner=owner, name="bench", subreddits=["sandbox_quiet"], post_limit=POSTS, comment_policy="complete",
        comment_limit=100_000, comment_depth=100,
    )  # fmt: skip
    requests, seconds, began = clock.requests, clock.seconds, time.perf_counter()
    session = scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())
    assert session.status == "succeeded", session.error
    return clock.requests - requests, time.perf_counter() - began - (clock.seconds - seconds)


def read_only(clock: Clock) -> tuple[int, float]:
    """Send the same requests and discard the answers."""
    from scraping.reddit.client import client_for
    from scraping.reddit.comment_walk import Reach

    requests, seconds, began = clock.requests, clock.seconds, time.perf_counter()
    with client_for(None) as client:
        for page in client.listing("sandbox_quiet", sort="new", time_filter="day", limit=POSTS):
            for post in page.posts:
                if post["num_comments"]:
                    for _page in client.comments(post["id"], Reach(2000, 100_000, 100)):
                        pass
    return clock.requests - requests, time.perf_counter() - began - (clock.seconds - seconds)


def main() -> None:
    """Print the table for the configured database."""
    from django.conf import settings
    from django.db import connection

    from scraping.sandbox import SandboxReddit

    clock = Clock()
    rows = []
    with (
        harness.scratch_database(),
        SandboxReddit(rate_limit=1_000_000, clock=lambda: 1_790_000_000.0) as reddit,
    ):
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = reddit.url
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_USER_AGENT = "bench:sandbox:1 (by /u/bench)"
        read_only(clock)  # so that the sandbox has generated its content
        for label, part in (("scrape", scrape), ("reading alone", read_only)):
            requests, seconds = part(clock)
            each = seconds / requests
            rows.append([label, f"{requests:,}", f"{1000 * each:.1f}", f"{each / (PACE_SECONDS + each):.1%}"])
        connection.close()
    harness.print_table(
        f"Time outside HTTP on {connection.vendor}",
        ["", "requests", "ms a request", f"share at {PACE_SECONDS} s a request"],
        rows,
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    main()
