"""A Reddit to scrape, and failures of the outside world."""

import pytest

from maintenance.ledger import publishing
from scraping.sandbox import SandboxReddit


@pytest.fixture
def no_broker(monkeypatch):
    """A broker that is down: every connection goes to a port where no process listens."""
    monkeypatch.setattr(publishing, "_publisher", publishing.Publisher("redis://127.0.0.1:1/0"))


@pytest.fixture
def reddit(settings):
    """A synthetic Reddit, used by the environment's app."""
    with SandboxReddit(rate_limit=1_000_000) as server:
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_USER_AGENT = "tests:sandbox:1 (by /u/tests)"
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = server.url
        yield server
