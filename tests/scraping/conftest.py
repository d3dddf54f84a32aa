"""Fixtures of the scraping tests."""

import importlib.util
from collections.abc import Iterator

import prawcore.sessions
import pytest
from pytest_django import Settings

from scraping.reddit import budget, http_session
from tests.scraping.reddit_replay import RedditReplay


@pytest.fixture
def reddit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedditReplay]:
    """Start a replayed Reddit and point the environment's app to it; cut PRAW's pauses before retries."""
    monkeypatch.setattr(prawcore.sessions.FiniteRetryStrategy, "_sleep_seconds", lambda self: None)
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0.0)  # a worker without budget raises at once
    monkeypatch.setattr(http_session, "PAUSES", (0.0, 0.0))
    with RedditReplay() as replay:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = replay.url
        settings.REDDIT_CLIENT_ID = "replayed"
        settings.REDDIT_CLIENT_SECRET = "secret"
        settings.REDDIT_USER_AGENT = "test:maintenance-console:0 (by /u/nobody)"
        yield replay


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a host without pyarrow."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pyarrow" else find(name, *a)
    )
