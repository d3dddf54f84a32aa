"""The drawing of the timeline."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from console.charts import timeline

HOURS = r'<text x="([\d.]+)" y="10" text-anchor="middle">\d\d:00'


@pytest.mark.parametrize("minute", [0, 10, 50])
def test_no_hour_is_cut_at_the_right_edge(minute):
    now = datetime(2026, 11, 30, 20, minute, tzinfo=UTC)

    drawing = timeline.svg([timeline.Lane("Purge")], now=now, windows=[], label="Timeline")

    frame = re.search(r'class="plot" viewBox="(\d+) 0 (\d+)', drawing)
    places = [float(x) for x in re.findall(HOURS, drawing)]
    assert frame
    assert len(places) >= 5
    # Half of five digits of 12 px.
    assert max(places) + 18 <= int(frame[1]) + int(frame[2])
    assert "Asia/Shanghai" in drawing


def test_close_together_runs_that_succeeded_hide_no_failure():
    now = datetime(2026, 11, 30, 20, tzinfo=UTC)
    runs = [
        timeline.PastRun(number, status, now - timedelta(minutes=9), now, f"#{number}", f"/{number}/")
        for number, status in enumerate(("failed", "succeeded", "partial", "succeeded"))
    ]

    drawing = timeline.svg([timeline.Lane("Purge", runs)], now=now, windows=[], label="Timeline")

    assert re.findall(r'class="bar-(\w+)"', drawing) == ["succeeded", "succeeded", "failed", "partial"]
