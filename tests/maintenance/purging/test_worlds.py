"""Random worlds against a naive reference: nothing goes that the mandate did not name.

A world is some posts, a retention with overrides, holds, and one run that is asked for in one of the ways there are.
Between plan, block, approval and every single batch anybody may edit the retention, place and release holds, and scrape
old posts, and lock posts and comments; two approvers look at the same page; the run is stopped or killed at a commit, and
its commits fail, are refused for a while, or succeed without the answer arriving. The reference knows no SQL: it
keeps every row, the retention and what was authorised as plain values, and says before each attempt whether it must be
blocked, and of each row that went whether it might.
"""

from collections import Counter

import pytest

from maintenance.context import JobContext
from maintenance.models import JobRun, RetentionOverride
from maintenance.purging import batches
from maintenance.purging import mandate as mandates
from scraping.models import RedditComment, RedditPost
from tests.maintenance.purging.worlds import CAP_ROWS, CHUNK, GROWTH_ROWS, PATIENCE, Status, World
from tests.soak import size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]


def clear():
    for model in (RedditComment, RedditPost, JobRun, RetentionOverride):
        model.objects.all().delete()


@pytest.mark.parametrize("first", range(0, size(12, 500), CHUNK))
def test_nothing_goes_that_the_mandate_did_not_name(monkeypatch, settings, first):
    settings.RETENTION_FLOOR_DAYS = 1
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_SHARE, settings.PURGE_THROTTLE = CAP_ROWS, 1.0, 1.0
    monkeypatch.setattr(mandates, "GROWTH_ROWS", GROWTH_ROWS)
    for name, value in PATIENCE.items():
        monkeypatch.setattr(batches, name, value)
    worlds = []
    checkpoint, save_cursor = JobContext.checkpoint, JobContext.save_cursor

    def look(context):
        worlds[-1].between_batches()
        checkpoint(context)

    def save(context, **values):
        save_cursor(context, **values)
        worlds[-1].commit()

    monkeypatch.setattr(JobContext, "checkpoint", look)
    monkeypatch.setattr(JobContext, "save_cursor", save)
    ends = Counter()
    for seed in range(first, min(first + CHUNK, size(12, 500))):
        worlds.append(World(seed, monkeypatch))
        try:
            ends[worlds[-1].live()] += 1
        except BaseException as failure:
            failure.add_note(f"world {seed}")
            raise
        clear()
    assert ends[Status.SUCCEEDED] > sum(ends.values()) / 4, ends
    print(dict(ends))  # noqa: T201  (of a soak)
