"""Jobs that misbehave, for a test and its workers."""

from datetime import timedelta

import pytest

from maintenance import registry
from maintenance.ledger import attempts
from tests.chaos import misbehaving


@pytest.fixture
def misbehaving_jobs(monkeypatch):
    """Declare the workers' jobs in this process too, so that it can request them."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    misbehaving.declare()
    monkeypatch.setattr(attempts, "PAUSES", (timedelta(), timedelta()))
