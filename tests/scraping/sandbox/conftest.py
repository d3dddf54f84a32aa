"""Fixtures: a sandbox with a fixed clock, and a PRAW client of it."""

import pytest

from scraping.sandbox import SandboxReddit
from tests.scraping.sandbox.asking import NOW, PLENTY, client


class Clock:
    """A clock that only moves when a test moves it."""

    def __init__(self, now=NOW):
        self.now = float(now)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(clock):
    with SandboxReddit(clock=clock, rate_limit=PLENTY) as server:
        yield server


@pytest.fixture
def reddit(sandbox):
    with client(sandbox) as made:
        yield made
