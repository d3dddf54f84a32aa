"""Settings for purges of few rows in many batches."""

import pytest

from maintenance.purging import batches


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 50 rows, in the order of the key."""
    for name in ("BATCH_ROWS_FIRST", "BATCH_ROWS_MIN", "BATCH_ROWS_MAX"):
        monkeypatch.setattr(batches, name, 50)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)
