"""What is usual for the rows of a schedule, and when its latest runs are far from that."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenance.models import JobRun, RowsVerdict, UsualRows
from maintenance.yields.comparing import compare_with_usual
from maintenance.yields.learning import hour_of_week
from scraping.progress import SilentProgress
from tests.kit import factories
from tests.kit.yields import store_runs

pytestmark = pytest.mark.django_db
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
# A Monday.
BEGIN = datetime(2026, 1, 5, 2, 30, tzinfo=UTC)
# Ten thousand rows, give or take a fifth.
NOISE = (10_000, 8_600, 11_300, 9_500, 10_700, 8_000, 12_000, 9_100, 10_300, 11_000)


def nightly(rows=NOISE, *, days=60):
    return [(BEGIN + number * DAY, rows[number % len(rows)]) for number in range(days)]


def compared(*, now):
    compare_with_usual(SilentProgress(), now=now, since=None)
    return list(RowsVerdict.objects.all())


def after(slots, *rows):
    """Return the slots, and further ones with these rows."""
    last = slots[-1][0]
    return slots + [(last + number * DAY, count) for number, count in enumerate(rows, start=1)]


@pytest.mark.parametrize(
    ("rows", "kind"), [((0, 0), "nothing"), ((5_000, 4_900), "fewer"), ((100_000, 95_000), "more")]
)
def test_two_runs_in_a_row_that_are_far_from_usual_make_a_verdict(rows, kind):
    task = factories.schedule()
    slots = after(nightly(), *rows)
    store_runs(task, slots[:-1])
    assert compared(now=slots[-2][0]) == []  # one run proves nothing

    store_runs(task, slots[-1:])
    (verdict,) = compared(now=slots[-1][0])

    assert (verdict.schedule, verdict.kind, verdict.rows) == (task, kind, rows[-1])
    assert (verdict.since, verdict.slot) == (slots[-2][0], slots[-1][0])
    assert 7_000 <= verdict.low <= 8_600 < 11_300 <= verdict.high <= 13_500
    told = f"{rows[-1]:,} rows in the run of 2026-03-07 "
    assert verdict.text.startswith(told)
    assert f"usually {verdict.low:,} to {verdict.high:,}" in verdict.text


def test_a_verdict_lasts_until_a_run_is_as_usual():
    task = factories.schedule()
    slots = after(nightly(), 0, 0, 0, 0, 10_000)
    store_runs(task, slots)
    (opened,) = compared(now=slots[-4][0])
    (later,) = compared(now=slots[-2][0])
    assert later.since == opened.since == slots[-5][0]
    assert later.slot == slots[-2][0]

    assert compared(now=slots[-1][0]) == []


def test_comparing_twice_changes_nothing():
    task = factories.schedule()
    slots = after(nightly(), 0, 0)
    store_runs(task, slots)

    def rows():
        compared(now=slots[-1][0])
        return list(UsualRows.objects.values()), list(RowsVerdict.objects.values())

    assert rows() == rows()


def test_a_job_whose_counts_are_wild_is_not_judged():
    task = factories.schedule()
    chosen = random.Random(1)
    slots = after(nightly([round(1_000 * math.exp(chosen.gauss(0, 2))) for _ in range(60)]), 0, 0)
    store_runs(task, slots)

    assert compared(now=slots[-1][0]) == []
    assert not any(one.is_known for one in UsualRows.objects.all())


def test_a_job_that_often_has_nothing_to_do_is_not_judged():
    task = factories.schedule()
    chosen = random.Random(1)
    rows = [0 if chosen.random() < 0.3 else NOISE[number % 10] for number in range(60)]
    slots = after(nightly(rows), 0, 0)
    store_runs(task, slots)

    assert compared(now=slots[-1][0]) == []


@pytest.mark.parametrize(
    ("rows", "days"), [(NOISE, 9), ((12, 9, 11, 10, 8), 60)], ids=["too few runs", "too few rows"]
)
def test_below_the_floor_of_evidence_nothing_is_judged(rows, days):
    task = factories.schedule()
    slots = after(nightly(rows, days=days), 0, 0)
    store_runs(task, slots)

    assert compared(now=slots[-1][0]) == []


def test_only_runs_of_a_slot_that_did_all_at_the_first_attempt_count():
    task = factories.schedule()
    slots = nightly()
    store_runs(task, slots)
    others: list[dict[str, Any]] = [
        {"dry_run": True},
        {"status": "failed"},
        {"attempt": 2},
        {"trigger": "retry"},
    ]
    for number, fields in enumerate(others):
        last = slots[-1][0] + 2 * number * DAY
        store_runs(task, [(last + DAY, 0), (last + 2 * DAY, 0)], **fields)

    assert compared(now=last + 2 * DAY) == []


def test_each_hour_of_the_week_is_compared_with_itself():
    """Weekends bring a tenth; that is far from what a workday brings, and as usual."""
    task = factories.schedule()
    slots = [
        (slot, rows // 10 if slot.weekday() >= 5 else rows) for slot, rows in nightly(days=7 * 9)
    ]  # it ends on a Sunday
    store_runs(task, slots)

    assert compared(now=slots[-1][0]) == []
    sunday, monday = (
        UsualRows.objects.get(hour_of_week=hour_of_week(slots[number][0])) for number in (-1, -7)
    )
    assert sunday.high < 2_000 < 7_000 < monday.low


def test_what_is_usual_follows_growth():
    task = factories.schedule()
    slots = [(slot, round(rows * 1.01**number)) for number, (slot, rows) in enumerate(nightly(days=80))]
    store_runs(task, slots)

    assert compared(now=slots[-1][0]) == []
    usual = UsualRows.objects.get(hour_of_week=hour_of_week(slots[-1][0]))
    assert 0.8 * 10_000 * 1.01**80 < usual.expected < 1.2 * 10_000 * 1.01**80


def test_a_week_of_nothing_does_not_become_what_is_usual():
    task = factories.schedule()
    slots = nightly()
    slots[20:27] = [(slot, 0) for slot, _rows in slots[20:27]]
    slots = after(slots, 0, 0)
    store_runs(task, slots)

    (verdict,) = compared(now=slots[-1][0])
    assert verdict.low > 5_000


def test_only_schedules_that_ran_since_are_compared():
    task = factories.schedule()
    slots = after(nightly(), 0, 0)
    store_runs(task, slots)

    compare_with_usual(SilentProgress(), now=slots[-1][0], since=slots[-1][0] + DAY)
    assert not UsualRows.objects.exists()

    compare_with_usual(SilentProgress(), now=slots[-1][0], since=slots[-1][0])
    assert UsualRows.objects.exists()


def test_a_deleted_schedule_takes_what_was_usual_with_it():
    task, other = factories.schedule(), factories.schedule()
    slots = after(nightly(), 0, 0)
    for one in (task, other):
        store_runs(one, slots)
    compared(now=slots[-1][0])

    task.delete()

    assert set(UsualRows.objects.values_list("schedule", flat=True)) == {other.pk}
    assert [one.schedule for one in RowsVerdict.objects.all()] == [other]
    assert JobRun.objects.filter(schedule=other.pk).exists()
