"""Fire times at changes of the clocks, case by case."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from maintenance.scheduling.firetimes import Crontab, clock_changes
from tests.maintenance.scheduling.firetimes.crontabs import BERLIN, LORD_HOWE, NEW_YORK, SHANGHAI, local_times

APIA = ZoneInfo("Pacific/Apia")  # skipped 30 December 2011


def test_a_time_in_the_gap_fires_once_after_it():
    assert local_times("30 2 * * *", after="2026-03-28", zone=BERLIN, number=3) == [
        "2026-03-28 02:30 +0100",
        "2026-03-29 03:30 +0200",
        "2026-03-30 02:30 +0200",
    ]


def test_a_weekly_time_in_the_gap_is_not_lost():
    assert local_times("30 2 * * 0", after="2026-03-08", zone=NEW_YORK, number=2) == [
        "2026-03-08 03:30 -0400",
        "2026-03-15 02:30 -0400",
    ]


def test_a_time_in_the_gap_and_the_slot_it_falls_on_are_one():
    assert local_times("0,30 2,3 * * *", after="2026-03-29", until="2026-03-30", zone=BERLIN) == [
        "2026-03-29 03:00 +0200",
        "2026-03-29 03:30 +0200",
    ]


def test_a_time_in_the_overlap_fires_once_at_its_first_occurrence():
    assert local_times("30 2 * * *", after="2026-10-25", zone=BERLIN, number=2) == [
        "2026-10-25 02:30 +0200",
        "2026-10-26 02:30 +0100",
    ]


def test_between_the_two_occurrences_a_daily_time_has_passed():
    assert local_times("30 2 * * *", after="2026-10-25 02:45", zone=BERLIN, number=1) == [
        "2026-10-26 02:30 +0100"
    ]


def test_an_hourly_schedule_runs_every_real_hour_of_the_long_day():
    assert local_times("15 * * * *", after="2026-10-25 01:00", zone=BERLIN, number=4) == [
        "2026-10-25 01:15 +0200",
        "2026-10-25 02:15 +0200",
        "2026-10-25 02:15 +0100",
        "2026-10-25 03:15 +0100",
    ]


def test_an_hourly_schedule_runs_every_real_hour_of_the_short_day():
    assert local_times("15 * * * *", after="2026-03-08 01:00", zone=NEW_YORK, number=3) == [
        "2026-03-08 01:15 -0500",
        "2026-03-08 03:15 -0400",
        "2026-03-08 04:15 -0400",
    ]


@pytest.mark.parametrize("hours", ["*", "*/1", "0-23", "12-11"])
def test_every_hour_may_be_written_in_any_way(hours):
    times = local_times(f"0 {hours} * * *", after="2026-10-25", until="2026-10-26", zone=BERLIN)

    assert len(times) == 25  # midnight itself is not after midnight, the next one is


def test_every_minute_runs_in_both_hours_of_the_overlap():
    times = local_times("* * * * *", after="2026-11-01", until="2026-11-02", zone=NEW_YORK)

    assert len(times) == 25 * 60


@pytest.mark.parametrize(
    ("crontab", "slots"),
    [
        ("* 1-6 * * *", 7 * 60),
        ("*/30 1-6 * * *", 14),
        ("0 1-6 * * *", 7),
        ("0 2,3 * * *", 3),
        ("0 1,2 * * *", 3),
        ("0,30 2 * * *", 2),
        ("0 2,4 * * *", 2),
        ("0 0,2,4 * * *", 3),
    ],
)
def test_an_hour_with_a_neighbour_runs_in_both_real_hours_of_the_overlap(crontab, slots):
    times = local_times(crontab, after="2026-10-24 23:59", until="2026-10-25 12:00", zone=BERLIN)

    assert len(times) == slots


def test_midnight_has_the_hour_before_it_as_its_neighbour():
    havana = ZoneInfo("America/Havana")  # shows 00:00 to 01:00 twice

    assert local_times("15 23,0 * * *", after="2026-10-31 23:00", until="2026-11-01 12:00", zone=havana) == [
        "2026-10-31 23:15 -0400",
        "2026-11-01 00:15 -0400",
        "2026-11-01 00:15 -0500",
    ]


@pytest.mark.parametrize(
    ("crontab", "zone", "expected"),
    [
        ("0,30 2 * * *", BERLIN, [(True, False, "02:00", "03:00"), (False, False, "02:00", "03:00")]),
        ("0 1-6 * * *", BERLIN, [(True, True, "02:00", "03:00"), (False, False, "02:00", "03:00")]),
        ("45 1 * * *", LORD_HOWE, [(True, False, "01:30", "02:00")]),
        ("0 4 * * *", BERLIN, []),
        ("0 2 1-7 * *", BERLIN, []),
        ("0 2 * * *", SHANGHAI, []),
    ],
)
def test_changes_of_clocks_that_concern_a_crontab_are_told(crontab, zone, expected):
    changes = clock_changes(Crontab.parse(crontab), after=datetime(2026, 6, 1, tzinfo=UTC), zone=zone)

    assert [
        (change.is_back, change.runs_twice, f"{change.first:%H:%M}", f"{change.last:%H:%M}")
        for change in changes
    ] == expected


def test_half_an_hour_of_overlap():
    assert local_times("45 1 * * *", after="2026-04-05", zone=LORD_HOWE, number=2) == [
        "2026-04-05 01:45 +1100",
        "2026-04-06 01:45 +1030",
    ]
    assert local_times("45 * * * *", after="2026-04-05", zone=LORD_HOWE, number=4) == [
        "2026-04-05 00:45 +1100",
        "2026-04-05 01:45 +1100",
        "2026-04-05 01:45 +1030",
        "2026-04-05 02:45 +1030",
    ]


def test_half_an_hour_of_gap():
    assert local_times("15 2 * * *", after="2026-10-04", zone=LORD_HOWE, number=2) == [
        "2026-10-04 02:45 +1100",
        "2026-10-05 02:15 +1100",
    ]
    assert local_times("15 * * * *", after="2026-10-04 01:00", zone=LORD_HOWE, number=3) == [
        "2026-10-04 01:15 +1030",
        "2026-10-04 02:45 +1100",
        "2026-10-04 03:15 +1100",
    ]


def test_a_day_that_was_left_out_adds_no_run():
    assert local_times("0 5 * * *", after="2011-12-29", zone=APIA, number=3) == [
        "2011-12-29 05:00 -1000",
        "2011-12-31 05:00 +1400",
        "2012-01-01 05:00 +1400",
    ]


def test_a_date_that_was_left_out_runs_a_day_late():
    assert local_times("0 5 30 12 *", after="2011-12-01", zone=APIA, number=2) == [
        "2011-12-31 05:00 +1400",
        "2012-12-30 05:00 +1400",
    ]


@pytest.mark.parametrize(("day", "next_day"), [("2026-03-29", "2026-03-30"), ("2026-10-25", "2026-10-26")])
def test_without_changes_of_clocks_a_day_has_24_hours(day, next_day):
    assert len(local_times("0 * * * *", after=day, until=next_day, zone=SHANGHAI)) == 24
