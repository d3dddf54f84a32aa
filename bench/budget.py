"""Many workers of one Reddit app use its whole request budget and never exceed it.

``python -m bench.budget`` starts the sandbox with an enforced limit of 100 requests per minute over ten minutes, scaled
down in time, and worker processes that scrape bots and verify stored content as the jobs do. It prints the requests
of each window. The peer, in the same run: the same number of processes, each paced by PRAW alone.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from bench import harness

WORKERS, CONFIGS = 4, 20
# 1,000 requests in 600 s, 20 times as fast.
SCALE = 20
WINDOW_REQUESTS, WINDOW_SECONDS = 1_000, 600 / SCALE
WINDOWS = 3
PEER = "PRAW alone"


def _impatient() -> None:
    """Scale down our own times as well."""
    from scraping.reddit import budget

    budget.PATIENCE_SECONDS = 10 / SCALE
    budget.SAME_WINDOW_SECONDS = WINDOW_SECONDS / 4


def work(number: int, until: float) -> dict[str, Any]:
    """Scrape this worker's bots in turn until the time is over; sleep only when all must wait."""
    from django.utils import timezone

    from scraping.models import BotConfig, ScrapeSession
    from scraping.progress import SilentProgress
    from scraping.reddit import budget
    from scraping.sessions.scrape import AlreadyScraping, ContinueLater, scrape_config

    _impatient()
    slept: list[float] = []
    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        real_sleep(seconds)

    budget.time.sleep = sleep  # type: ignore[attr-defined]  # to count it, in this process only
    counts: Counter[str] = Counter()
    due: dict[int, datetime] = {}
    while time.time() < until:
        for config in BotConfig.objects.order_by("pk")[number::WORKERS]:
            if time.time() >= until or due.get(config.pk, timezone.now()) > timezone.now():
                continue
            try:
                session = scrape_config(
                    config, run_id=None, kind=ScrapeSession.Kind.AUTO, progress=SilentProgress()
                )
                counts[session.status] += 1
                BotConfig.objects.filter(pk=config.pk).update(refusals=0)
            except ContinueLater as later:
                counts["continued later"] += 1
                due[config.pk] = later.until
            except AlreadyScraping:
                counts["already scraping"] += 1
        real_sleep(0.02)  # an idle worker waits for a message
    return {"counts": counts, "longest_sleep": max(slept, default=0.0)}


def verify(until: float) -> dict[str, Any]:
    """Verify stored content whenever the budget has a request for it."""
    from django.utils import timezone

    from scraping.compliance.sweep import refresh_stored_content
    from scraping.progress import SilentProgress
    from scraping.reddit.errors import OutOfBudget

    _impatient()
    requests = 0
    while time.time() < until:
        try:
            requests += refresh_stored_content(SilentProgress(), max_requests=5).counts["requests"]
            time.sleep(0.02)
        except OutOfBudget as shortage:
            left = min((shortage.until - timezone.now()).total_seconds(), until - time.time())
            time.sleep(max(0.02, left))
    return {"requests": requests}


def praw_alone(number: int, until: float) -> dict[str, Any]:
    """List posts and read comments with plain PRAW, which paces only its own process."""
    import praw
    import prawcore

    reddit = praw.Reddit(
        "DEFAULT", client_id="sandbox", client_secret="sandbox", user_agent="bench:sandbox:1 (by /u/bench)",
        reddit_url=os.environ["REDDIT_URL"], oauth_url=os.environ["REDDIT_OAUTH_URL"],
        check_for_updates=False, check_for_async=False, window_size=int(WINDOW_SECONDS),
    )  # fmt: skip
    failed = 0
    while time.time() < until:
        try:
            for post in reddit.subreddit(f"bench{number}").new(limit=100):
                reddit.request(method="GET", path=f"comments/{post.id}/")
                if time.time() >= until:
                    break
        except prawcore.exceptions.TooManyRequests:
            failed += 1
            time.sleep(0.2)
        except ValueError:
            failed += 1
    return {"429": failed}


def _run(reddit: Any, database_url: str, parts: list[list[str]]) -> list[dict[str, Any]]:
    environment = {
        **os.environ, "DATABASE_URL": database_url, "LOG_LEVEL": "ERROR",
        "REDDIT_CLIENT_ID": "sandbox", "REDDIT_CLIENT_SECRET": "sandbox",
        "REDDIT_USER_AGENT": "bench:sandbox:1 (by /u/bench)", "REDDIT_URL": reddit.url, "REDDIT_OAUTH_URL": reddit.url,
    }  # fmt: skip
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.budget", *part],
            cwd=harness.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True,
        )
        for part in parts
    ]  # fmt: skip
    answers = []
    for child in children:
        output, _ = child.communicate()
        answers.append(json.loads(output.strip().splitlines()[-1]))
    return answers


def _windows(reddit: Any) -> tuple[list[int], list[int], int]:
    """Return the accepted requests, and the verifications among them, of each full window, and the number of 429s."""
    passed: Counter[int] = Counter()
    info: Counter[int] = Counter()
    refused = 0
    for at, path, status in reddit.seen:
        if status == 429:
            refused += 1
            continue
        window = int(at // WINDOW_SECONDS)
        passed[window] += 1
        info[window] += path.startswith("/api/info")
    whole = sorted(passed)[1:-1]
    return [passed[w] for w in whole], [info[w] for w in whole], refused


@contextmanager
def _watched_reddit() -> Iterator[Any]:
    """A sandbox that enforces its limit and records each answer in ``seen``: time, request and status."""
    from scraping.sandbox import SandboxReddit

    class Watched(SandboxReddit):
        seen: list[tuple[float, str, int]]

        def _serve(self, request: Any) -> Any:
            answer = super()._serve(request)
            if request.path != "/api/v1/access_token":
                self.seen.append((time.time(), request.path, answer.status))
            return answer

    with Watched(
        rate_limit=WINDOW_REQUESTS,
        rate_window=WINDOW_SECONDS,
        enforce_rate_limit=True,
        latency=0.3 / SCALE,
        clock=lambda: 1_790_000_000.0,  # unchanging content is cheap for the server
    ) as reddit:
        reddit.rate.clock = time.time
        reddit.seen = []
        yield reddit


def _make_bots() -> None:
    from django.contrib.auth.models import User

    from scraping.models import BotConfig

    owner = User.objects.create(username="bench")
    for number in range(CONFIGS):
        BotConfig.objects.create(
            owner=owner, name=f"bot {number}", subreddits=[f"bench{number % 10}"], post_limit=1000,
            comment_policy="first_page",
        )  # fmt: skip


def _measure(label: str) -> list[str]:
    """Return the row of the table for our workers, or for workers paced by PRAW alone."""
    from django.db import connection

    with harness.scratch_database() as url, _watched_reddit() as reddit:
        _make_bots()
        connection.close()
        until = str((time.time() // WINDOW_SECONDS + WINDOWS + 2) * WINDOW_SECONDS)
        if label == PEER:
            parts = [["praw_alone", str(n), until] for n in range(WORKERS)]
        else:
            parts = [["work", str(n), until] for n in range(WORKERS)] + [["verify", until]]
        answers = _run(reddit, url, parts)
        passed, info, refused = _windows(reddit)
    share = sum(passed) / (WINDOW_REQUESTS * len(passed))
    longest = max(answer.get("longest_sleep", 0.0) for answer in answers) * SCALE
    return [
        label,
        " ".join(map(str, passed)),
        f"{share:.0%}",
        str(refused),
        f"{sum(info) / max(1, sum(passed)):.0%}",
        f"{longest:.1f}" if label != PEER else "–",
    ]


def main() -> None:
    """Print the table for the configured database."""
    from django.db import connection

    rows = [_measure(label) for label in ("budget in the database", PEER)]
    harness.print_table(
        f"{WORKERS} workers, {CONFIGS} bots, one app, 100 requests a minute over 10 minutes ({SCALE} times as fast)"
        f" on {connection.vendor}",
        [
            "",
            "requests by window",
            "of the budget",
            "429s",
            "for compliance",
            "longest sleep, s at Reddit's pace",
        ],
        rows,
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    match sys.argv[1:]:
        case ["work", number, until]:
            print(json.dumps(work(int(number), float(until))))
        case ["verify", until]:
            print(json.dumps(verify(float(until))))
        case ["praw_alone", number, until]:
            print(json.dumps(praw_alone(int(number), float(until))))
        case _:
            main()
