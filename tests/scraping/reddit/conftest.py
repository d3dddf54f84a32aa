"""Fixture: a client of a replayed Reddit."""

from collections.abc import Iterator

import pytest

from scraping.reddit.client import RedditClient, client_for
from tests.scraping.reddit_replay import RedditReplay


@pytest.fixture
def reddit_client(reddit: RedditReplay) -> Iterator[RedditClient]:
    with client_for(None) as reddit_client:
        yield reddit_client
