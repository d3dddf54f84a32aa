"""Outside failures that tests of this folder need."""

import pytest

from maintenance import registry
from maintenance.ledger import publishing


@pytest.fixture
def no_broker(monkeypatch):
    """A broker that is away: every connection goes to a port where nobody listens."""
    monkeypatch.setattr(publishing, "_publisher", publishing.Publisher("redis://127.0.0.1:1/0"))


@pytest.fixture
def declare(monkeypatch):
    """Declare a job for one test only."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))

    def declare(function, **options):
        registry.job(**options)(function)
        return function.__name__

    return declare
