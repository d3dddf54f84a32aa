"""The watchdog of a worker."""

import time
from datetime import timedelta

import pytest

from maintenance.ledger import workers
from maintenance.ledger.workers import EventLoopNote, Watch

LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def watch(monkeypatch):
    """The watchdog of a worker that started five minutes ago, is connected to the broker, and is idle."""
    now = time.monotonic()
    monkeypatch.setattr(EventLoopNote, "ran_at", now)
    monkeypatch.setattr(workers._taken_at, "value", now - LONG_AGO.total_seconds(), raising=False)
    watch = Watch(name="worker@one", concurrency=2, pids=list)
    watch._started_at = now - LONG_AGO.total_seconds()
    return watch
