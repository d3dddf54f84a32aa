"""Random scenarios are compared with a naive reference: a purge deletes only rows that its mandate covers.

A scenario consists of posts, a retention with overrides, holds, and one run, which is requested in one of the possible
ways. Between plan, block, approval and all batches, other people may edit the retention, place and release holds,
scrape old posts, and lock posts and comments. Two approvers use the same page. The run is stopped, or killed at a
commit; its commits fail, are refused for a while, or succeed without an answer. The reference uses no SQL: it keeps
every row, the retention and the mandate as plain values. Before each attempt it says whether the attempt must be
blocked, and for each deleted row whether it was allowed to be deleted.
"""

from collections import Counter

import pytest

from maintenance.context import JobContext
from maintenance.models import JobRun, RetentionOverride
from maintenance.purging import batches
from maintenance.purging import mandate as mandates
from scraping.models import RedditComment, RedditPost
from tests.maintenance.purging.scenarios import CAP_ROWS, CHUNK, GROWTH_ROWS, PATIENCE, Scenario, Status
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
    scenarios = []
    checkpoint, save_cursor = JobContext.checkpoint, JobContext.save_cursor

    def look(context):
        scenarios[-1].between_batches()
        checkpoint(context)

    def save(context, **values):
        save_cursor(context, **values)
        scenarios[-1].commit()

    monkeypatch.setattr(JobContext, "checkpoint", look)
    monkeypatch.setattr(JobContext, "save_cursor", save)
    ends = Counter()
    for seed in range(first, min(first + CHUNK, size(12, 500))):
        scenarios.append(Scenario(seed, monkeypatch))
        try:
            ends[scenarios[-1].live()] += 1
        except BaseException as failure:
            failure.add_note(f"scenario {seed}")
            raise
        clear()
    assert ends[Status.SUCCEEDED] > sum(ends.values()) / 4, ends
    print(dict(ends))  # noqa: T201  (shown by `make soak`)
