"""What the runs of two periods came to: each figure, both edges of a period, and the statements it takes."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from database import clock
from maintenance.ledger.comparison import Figures, Period, figures_in
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def period():
    now = clock.now()
    return Period(now - 2 * HOUR, now)


def ran(period, minutes=1, **fields):
    begun = period.start + HOUR / 2
    values = {"queued_at": begun, "started_at": begun, "finished_at": begun + minutes * MINUTE, **fields}
    return factories.job_run(**values)


def figures(period, *schedules, job="cleanup_tokens", schedule=None):
    return figures_in(period, JobRun.objects.all(), schedules).get((job, schedule))


def test_real_runs_are_counted_and_slots_without_one_are_not(period):
    for status in ("succeeded", "partial", "failed", "cancelled", "interrupted", "skipped"):
        ran(period, status=status)
    ran(period, status="failed", dry_run=True)
    ran(period, status="missed", counts={"slots_missed": 60})
    ran(period, status="missed")

    found = figures(period)

    assert (found.runs, found.failures, found.missed) == (5, 2, 61)
    assert found.counts == {}


def test_a_run_belongs_to_the_period_in_which_it_was_queued(period):
    tick = timedelta(microseconds=1)
    for at in (period.start - tick, period.start, period.end - tick, period.end):
        ran(period, queued_at=at)

    assert figures(period).runs == 2
    assert figures(Period(period.start - HOUR, period.start)).runs == 1
    assert figures(Period(period.end + HOUR, period.end + 2 * HOUR)) is None


def test_usual_runs_have_the_percentiles(period):
    for minutes in (5, 6, 9):
        ran(period, minutes)
    ran(period, 60, status="failed")
    ran(period, 60, dry_run=True)
    ran(period, 60, attempt=2)
    ran(period, 60, job="auto_scraping")
    ran(period, 60, started_at=None, job="auto_scraping")

    assert (figures(period).p50, figures(period).p95) == (6 * MINUTE, 9 * MINUTE)
    assert figures(period, job="auto_scraping").p50 is None


def test_counts_are_summed_by_name_without_what_is_no_number(period):
    ran(period, counts={"scraping.RedditPost": 3, "requests": 2})
    ran(
        period,
        status="failed",
        counts={"scraping.RedditPost": 4, "note": "no", "share": None, "deep": {"a": 1}},
    )
    ran(period, dry_run=True, counts={"scraping.RedditPost": 900})

    assert figures(period).counts == Counter({"scraping.RedditPost": 7, "requests": 2})


def test_a_schedule_has_the_runs_of_its_slots_and_its_job_has_all(period):
    task, other = factories.schedule(name="a"), factories.schedule(name="b")
    for minutes in (1, 2, 3):
        ran(period, minutes, schedule=task, trigger="schedule", counts={"a.B": minutes})
        ran(period, 10 * minutes, schedule=other, trigger="schedule", counts={"a.B": 10})
    ran(period, 100, schedule=task, trigger="retry", counts={"a.B": 1000})

    own = figures(period, task.pk, schedule=task.pk)
    assert own == Figures(3, 0, 0, 2 * MINUTE, 3 * MINUTE, Counter({"a.B": 6}))
    assert figures(period, task.pk).counts["a.B"] == 1036
    assert figures(period, task.pk, schedule=other.pk) is None
    assert figures(period, task.pk).p95 == 100 * MINUTE


def test_only_runs_that_the_reader_may_see_count(period):
    owner = factories.user(is_staff=True)
    bot = factories.bot_config(owner=owner)
    ran(period, job="scrape_now", params={"config": bot.pk})
    ran(period, job="scrape_now", params={"config": factories.bot_config().pk})
    ran(period)

    found = figures_in(period, JobRun.objects.visible_to(owner))

    assert {row: one.runs for row, one in found.items()} == {("scrape_now", None): 1}


def test_the_statements_do_not_grow_with_what_is_there(period):
    def looked(*schedules):
        with CaptureQueriesContext(connection) as captured:
            figures_in(period, JobRun.objects.all(), schedules)
        return sum(query["sql"].startswith(("SELECT", "WITH")) for query in captured)

    few = looked(1)
    for number in range(12):
        task = factories.schedule(name=str(number))
        ran(period, schedule=task, trigger="schedule", job=f"job_{number}", counts={f"a.{number}": 1})

    assert looked(*range(30)) == looked() == few == 2
