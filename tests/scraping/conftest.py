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
    """A replayed Reddit, and the environment's app set to meet it; PRAW's pauses before retries are cut."""
    monkeypatch.setattr(prawcore.sessions.FiniteRetryStrategy, "_sleep_seconds", lambda self: None)
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0.0)  # who must wait for the budget says so at once
    monkeypatch.setattr(http_session, "PAUSES", (0.0, 0.0))
    with RedditReplay() as replay:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = replay.url
        settings.REDDIT_CLIENT_ID = "replayed"
        settings.REDDIT_CLIENT_SECRET = "secret"
        settings.REDDIT_USER_AGENT = "test:maintenance-console:0 (by /u/nobody)"
        yield replay


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet as on a host where pyarrow is not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pyarrow" else find(name, *a)
    )
