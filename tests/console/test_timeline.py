"""The drawing of the timeline."""

import re
from datetime import UTC, datetime

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
