"""Planted silences, halvings and floods are found within two expected intervals, with few false alarms.

``make soak`` plants 30 of each kind and watches 30 bots for four weeks; ``pytest -s`` shows the figures.
"""

import random

import pytest

from tests import recorded
from tests.scraping.yields.planted import KINDS, RATES, false_alarms, rhythms, trials
from tests.soak import IS_SOAK, size

pytestmark = [recorded.needed, pytest.mark.slow]
SEED = 20261129


@pytest.fixture(scope="module")
def days():
    return rhythms()


def test_planted_changes_are_found_within_two_expected_intervals(days):
    chosen = random.Random(SEED)
    results = {kind: trials(chosen, days, kind, size(2, 30)) for kind in KINDS}

    for kind, (done, unjudged) in results.items():
        found = [one for one in done if one.found_after is not None]
        lines = [f"\n{kind}: {len(found)} of {len(done)} found within two expected intervals"]
        for rate in RATES:
            times = [(one.interval, one.found_after) for one in done if one.rate == rate]
            lines.append(f"  {rate} posts a day, (expected interval, found after) in hours: {times}")
            lines.append(f"    not to be told from chance within two weeks: {unjudged[rate]}")
        print(*lines, sep="\n")  # noqa: T201  (shown by `make soak`)
    done = [one for kind, _unjudged in results.values() for one in kind]
    assert sum(one.found_after is not None for one in done) >= 0.95 * len(done)


@pytest.mark.parametrize(
    ("bots", "every", "subreddits"), [(1, 6, 4), *([(30, 6, 10), (3, 1, 10), (1, 6, 100)] if IS_SOAK else [])]
)
def test_a_bot_has_at_most_one_false_alarm_a_month(days, bots, every, subreddits):
    alarms = false_alarms(random.Random(SEED), days, bots, every=every, subreddits=subreddits)

    total = sum(alarms.values())
    text = f"{bots} bots of {subreddits} subreddits, listed every {every} h, 28 days: {total} alarms {alarms}"
    print(f"\n{text}")  # noqa: T201  (shown by `make soak`)
    assert total <= bots
