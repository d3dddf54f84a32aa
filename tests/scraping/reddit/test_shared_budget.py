"""Four workers, twenty bots, one Reddit app, and a server that enforces its limit; ``bench.budget`` is the long version."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from scraping.compliance.sweep import refresh_stored_content
from scraping.models import BotConfig, ScrapeSession
from scraping.progress import SilentProgress
from scraping.reddit import budget
from scraping.reddit.errors import OutOfBudget
from scraping.sandbox import SandboxReddit
from scraping.sessions.scrape import ContinueLater, scrape_config
from tests.kit.scraped import make_config

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS, CONFIGS = 4, 20
# Reddit's ten minutes with 1,000 requests; both are smaller here, and so is our patience of ten seconds.
WINDOW_SECONDS, WINDOW_REQUESTS, WINDOWS = 8.0, 50, 2
PATIENCE_SECONDS = 10.0 * WINDOW_SECONDS / 600


class Watched(SandboxReddit):
    """Records the time and the status of each answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[tuple[float, str, int]] = []

    def _serve(self, request: Any) -> Any:
        answer = super()._serve(request)
        if request.path != "/api/v1/access_token":
            self.seen.append((time.time(), request.path, answer.status))
        return answer


class Crew:
    """Workers that scrape their bots again and again, and one that verifies, until the end of the test."""

    def __init__(self, configs: list[BotConfig]) -> None:
        self.configs = configs
        self.ended: list[str] = []
        self.due: dict[int, datetime] = {}
        self.over = threading.Event()

    def work(self, number: int) -> None:
        try:
            while not self.over.is_set():
                for config in self.configs[number::WORKERS]:
                    if self.due.get(config.pk, timezone.now()) <= timezone.now():
                        self.scrape(config)
                self.over.wait(0.02)  # an idle worker waits for a message
        finally:
            connections.close_all()

    def scrape(self, config: BotConfig) -> None:
        if self.over.is_set():
            return
        try:
            session = scrape_config(
                config, run_id=None, kind=ScrapeSession.Kind.AUTO, progress=SilentProgress()
            )
            self.ended.append(session.status)
        except ContinueLater as later:
            self.due[config.pk] = later.until

    def verify(self) -> None:
        try:
            while not self.over.is_set():
                try:
                    refresh_stored_content(SilentProgress(), max_requests=3)
                except OutOfBudget as shortage:
                    self.over.wait(max(0.02, (shortage.until - timezone.now()).total_seconds()))
                self.over.wait(0.05)
        finally:
            connections.close_all()


@pytest.mark.slow
def test_the_budget_is_used_up_and_never_exceeded_and_nobody_sleeps_for_long(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(budget, "SAME_WINDOW_SECONDS", WINDOW_SECONDS / 4)
    monkeypatch.setattr(budget, "PORTION", 2)
    monkeypatch.setattr(budget, "COMPLIANCE_SHARE", 0.2)
    slept: list[float] = []

    def sleep(self: Any, seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(budget.Allowance, "_sleep", sleep)
    with Watched(
        rate_limit=WINDOW_REQUESTS, rate_window=WINDOW_SECONDS, enforce_rate_limit=True, latency=0.005,
        clock=lambda: 1_790_000_000.0,  # content that stands still costs the server little
    ) as reddit:  # fmt: skip
        reddit.rate.clock = time.time
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = reddit.url
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_USER_AGENT = "test:maintenance-console:0 (by /u/nobody)"
        crew = Crew(
            [
                make_config(subreddits=[f"shared{n % 10}"], post_limit=30, comment_policy="first_page")
                for n in range(CONFIGS)
            ]
        )
        with ThreadPoolExecutor(WORKERS + 1) as pool:
            jobs = [pool.submit(crew.work, n) for n in range(WORKERS)] + [pool.submit(crew.verify)]
            first = int(time.time() // WINDOW_SECONDS) + 1  # the window in which we began is no whole one
            crew.over.wait((first + WINDOWS) * WINDOW_SECONDS + 1 - time.time())
            crew.over.set()
            for job in jobs:
                job.result()
    whole = range(first, first + WINDOWS)
    passed = Counter(int(at // WINDOW_SECONDS) for at, _path, _status in reddit.seen)
    verified = Counter(int(at // WINDOW_SECONDS) for at, path, _status in reddit.seen if "/info" in path)
    assert 429 not in {status for _at, _path, status in reddit.seen}
    assert sum(passed[window] for window in whole) >= 0.9 * WINDOWS * WINDOW_REQUESTS
    # Requests sent and not yet settled count twice for a moment, which is a large part of so small a window.
    share = budget.COMPLIANCE_SHARE * WINDOW_REQUESTS
    assert all(verified[window] >= 0.5 * share for window in whole), verified
    assert max(slept, default=0.0) <= PATIENCE_SECONDS
    assert set(crew.ended) <= {"succeeded"}
    assert not ScrapeSession.objects.running().exists()
