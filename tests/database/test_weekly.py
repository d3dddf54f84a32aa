"""A weekly window agrees with a slow reading of the zone's clock, minute by minute, also where clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from database.weekly import Weekly
from tests.soak import size

MINUTE = timedelta(minutes=1)
ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # its clocks change at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",
    "Pacific/Apia",  # left out a whole day in 2011
    "Asia/Kathmandu",
]
# Days around which clocks change in one of the zones, and ordinary ones.
DAYS = [
    date(2026, 3, 29),
    date(2026, 10, 25),
    date(2026, 3, 8),
    date(2026, 11, 1),
    date(2026, 4, 5),
    date(2026, 9, 6),
    date(2026, 10, 4),
    date(2026, 2, 15),
    date(2026, 3, 22),
    date(2011, 12, 30),
    date(2026, 6, 14),
]
times = st.one_of(
    st.sampled_from([time(0), time(1), time(2), time(2, 30), time(3), time(23), time(23, 59)]),
    st.times().map(lambda moment: moment.replace(second=0, microsecond=0)),
)


def slow(weekly, day):
    """Read the clock each minute: the first time it reaches the beginning, the last time it shows the end."""
    if day.weekday() not in weekly.weekdays:
        return None
    begins = datetime.combine(day, weekly.begins)
    last_day = day if weekly.ends > weekly.begins else day + timedelta(days=1)
    ends = datetime.combine(last_day, weekly.ends)
    noon = datetime.combine(day, time(12), tzinfo=UTC)
    start = end = reached = None
    for number in range(-48 * 60, 72 * 60):
        moment = noon + number * MINUTE
        shown = moment.astimezone(weekly.zone).replace(tzinfo=None)
        if start is None and shown >= begins:
            start = moment
        if reached is None and shown >= ends:
            reached = moment
        if shown == ends:
            end = moment
    end = end or reached
    return (start, end) if start < end else None


@pytest.mark.soak
@hypothesis_settings(max_examples=size(60, 3_000), deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(DAYS),
    shift=st.integers(-1, 1),
    begins=times,
    ends=times,
)
def test_an_occurrence_is_what_the_clock_shows(zone, day, shift, begins, ends):
    day += timedelta(days=shift)
    weekly = Weekly(frozenset([day.weekday()]), begins, ends, ZoneInfo(zone))

    assert weekly.on(day) == slow(weekly, day)


@hypothesis_settings(max_examples=size(30, 1_000), deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(DAYS),
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    begins=times,
    ends=times,
)
def test_occurrences_come_in_order_and_none_is_left_out(zone, day, weekdays, begins, ends):
    weekly = Weekly(weekdays, begins, ends, ZoneInfo(zone))
    moment = datetime.combine(day, time(12), tzinfo=UTC)
    found = list(islice(weekly.after(moment), 10))

    every = [weekly.on(day + timedelta(days=number)) for number in range(-3, 100)]
    assert found == [span for span in every if span is not None and span[1] > moment][:10]
    assert found == sorted(found)


def test_sundays_from_one_to_three_across_both_changes_of_clocks():
    weekly = Weekly(frozenset([6]), time(1), time(3), ZoneInfo("Europe/Berlin"))
    hours = [
        (end - start) / timedelta(hours=1)
        for start, end in (
            weekly.on(date(2026, 3, 29)),
            weekly.on(date(2026, 10, 25)),
            weekly.on(date(2026, 6, 14)),
        )
    ]

    assert hours == [1, 3, 2]


def test_a_window_in_the_hour_that_is_left_out_does_not_happen_that_week():
    weekly = Weekly(frozenset([6]), time(2, 15), time(2, 45), ZoneInfo("Europe/Berlin"))

    assert weekly.on(date(2026, 3, 29)) is None
    start, _end = next(weekly.after(datetime(2026, 3, 28, tzinfo=UTC)))
    assert start == datetime(2026, 4, 5, 0, 15, tzinfo=UTC)
