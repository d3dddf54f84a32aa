import calendar
import re
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

import pytest
from celery import Celery
from celery.schedules import crontab as celery_crontab
from cronsim import CronSim
from hypothesis import HealthCheck, assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from maintenance.scheduling.firetimes import (
    Crontab,
    Interval,
    InvalidCrontab,
    Once,
    clock_changes,
    describe,
    fire_times,
)
from tests.soak import size

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # sets its clocks by 30 minutes
SHANGHAI = ZoneInfo("Asia/Shanghai")
APIA = ZoneInfo("Pacific/Apia")  # left out 30 December 2011

BOUNDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day_of_month": (1, 31),
    "month_of_year": (1, 12),
    "day_of_week": (0, 6),
}


def local_time(text, zone):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def local_times(crontab, *, after, zone, number=None, until=None):
    """The fire times between two wall-clock times, as an operator reads them: "2026-03-29 03:30 +0200"."""
    after, until = local_time(after, zone), until and local_time(until, zone)
    times = fire_times(Crontab.parse(crontab), after=after, until=until, timezone=zone)
    return [f"{time.astimezone(zone):%Y-%m-%d %H:%M %z}" for time in islice(times, number)]


# --- Random crontabs -------------------------------------------------------------------------


@st.composite
def field_parts(draw, name):
    first, last = BOUNDS[name]
    number = st.integers(first, last)
    kind = draw(st.sampled_from(["number", "range", "stepped range", "stepped star", "name"]))
    step = draw(st.integers(1, 20))
    if kind == "range":
        return f"{draw(number)}-{draw(number)}"
    if kind == "stepped range":
        return f"{draw(number)}-{draw(number)}/{step}"
    if kind == "stepped star":
        return f"*/{step}"
    if kind == "name" and name == "day_of_week":
        return calendar.day_name[draw(number)][:3].lower()
    if kind == "name" and name == "month_of_year":
        return calendar.month_name[draw(number)]
    return str(draw(number))


def field_texts(name):
    lists = st.lists(field_parts(name), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), lists)


@st.composite
def crontabs(draw, day_fields=("day_of_month", "month_of_year", "day_of_week")):
    crontab = Crontab(
        **{name: draw(field_texts(name)) for name in BOUNDS if name in ("minute", "hour", *day_fields)}
    )
    try:
        crontab.validate()
    except InvalidCrontab:
        assume(False)
    return crontab


def celery_times(crontab, *, after, zone, number):
    """What Celery's own crontab would do, asked again after every run."""
    theirs = celery_crontab(
        minute=crontab.minute,
        hour=crontab.hour,
        day_of_month=crontab.day_of_month,
        month_of_year=crontab.month_of_year,
        day_of_week=crontab.day_of_week,
        nowfun=lambda: after,
        app=Celery(set_as_current=False),
    )
    times = []
    for _ in range(number):
        last, delta, _now = theirs.remaining_delta(times[-1] if times else after, tz=zone)
        times.append((last + delta).astimezone(UTC))
    return times


MOMENTS = st.integers(0, 20 * 365 * 86_400).map(
    lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(crontab=crontabs(), after=MOMENTS, zone=st.sampled_from([ZoneInfo("UTC"), SHANGHAI]))
def test_without_changes_of_clocks_it_agrees_with_celery(crontab, after, zone):
    ours = list(islice(fire_times(crontab, after=after, timezone=zone), 5))

    assert ours == celery_times(crontab, after=after, zone=zone, number=5)


@given(
    crontab=crontabs(day_fields=()),
    day=st.dates(date(2020, 1, 1), date(2040, 1, 1)),
    zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE]),
)
def test_on_ordinary_days_of_a_zone_with_changes_of_clocks_it_agrees_with_celery(crontab, day, zone):
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    offsets = {(start + timedelta(days=days)).utcoffset() for days in range(-1, 3)}
    assume(len(offsets) == 1)
    after = start.astimezone(UTC)
    end = after + timedelta(days=1)

    ours = list(fire_times(crontab, after=after, until=end, timezone=zone))

    theirs = celery_times(crontab, after=after, zone=zone, number=len(ours) + 1)
    assert ours == theirs[:-1]
    assert theirs[-1] > end


@given(crontab=crontabs(day_fields=()), after=MOMENTS)
@hypothesis_settings(max_examples=30)
def test_celery_finds_a_schedule_due_at_its_fire_time_and_not_before(crontab, after):
    time = next(fire_times(crontab, after=after, timezone=UTC))

    assert is_due(crontab, last_run_at=after, now=time)
    assert not is_due(crontab, last_run_at=after, now=time - timedelta(seconds=1))


def is_due(crontab, *, last_run_at, now):
    app = Celery(set_as_current=False)
    theirs = celery_crontab(minute=crontab.minute, hour=crontab.hour, nowfun=lambda: now, app=app)
    return theirs.is_due(last_run_at).is_due


# --- Against a reference that looks at every minute ------------------------------------------


def reference(crontab, *, after, until, zone):
    """The rules at the top of firetimes.py, spelled out minute by minute."""
    matches = {name: set(numbers) for name, numbers in crontab.matches.items()}

    def runs_twice(hour):
        return any(neighbour % 24 in matches["hour"] for neighbour in (hour - 1, hour + 1))

    def is_match(wall):
        return (
            wall.minute in matches["minute"]
            and wall.hour in matches["hour"]
            and wall.day in matches["day_of_month"]
            and wall.month in matches["month_of_year"]
            and wall.isoweekday() % 7 in matches["day_of_week"]
        )

    times = set()
    # Every real minute, as the clock on the wall shows it; fold: it shows this for the second time.
    moment = after.replace(second=0, microsecond=0)
    while moment <= until:
        wall = moment.astimezone(zone)
        if is_match(wall) and (not wall.fold or runs_twice(wall.hour)):
            times.add(moment)
        moment += timedelta(minutes=1)
    # Every minute that no clock on the wall showed.
    wall = after.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0) - timedelta(days=1)
    while wall < until.astimezone(zone).replace(tzinfo=None):
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if is_match(wall) and moment.astimezone(zone).replace(tzinfo=None) != wall:
            times.add(moment)
        wall += timedelta(minutes=1)
    return sorted(time for time in times if after < time <= until)


CHANGES = [
    ("Europe/Berlin", "2026-03-28 12:00"),
    ("Europe/Berlin", "2026-10-24 12:00"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("America/Havana", "2026-03-07 12:00"),  # 00:00 to 01:00
    ("America/Havana", "2026-10-31 12:00"),  # 01:00 to 00:00
    ("America/St_Johns", "2007-03-10 12:00"),  # 00:01 to 01:01
    ("America/St_Johns", "2007-11-03 12:00"),  # 00:01 to 23:01 of the day before
    ("Asia/Pyongyang", "2018-05-04"),  # 23:30 to 00:00 of the next day
    ("Pacific/Apia", "2011-12-29"),  # 24 hours
    ("Pacific/Kwajalein", "1969-09-30"),  # 24 hours back, or almost
    ("Asia/Shanghai", "2026-02-27"),
]


@pytest.mark.parametrize(("name", "day"), CHANGES)
@hypothesis_settings(max_examples=10)
@given(crontab=crontabs(), hours=st.integers(0, 47), seconds=st.integers(0, 3599))
@example(crontab=Crontab.parse("*/15 * * * *"), hours=0, seconds=0)
@example(crontab=Crontab.parse("10,45 * * * *"), hours=0, seconds=0)
@example(crontab=Crontab.parse("30 0,2,23 * * *"), hours=0, seconds=0)
@example(crontab=Crontab.parse("* 1-6 * * *"), hours=0, seconds=0)
def test_at_a_change_of_clocks_it_agrees_with_the_reference(name, day, crontab, hours, seconds):
    zone = ZoneInfo(name)
    after = local_time(day, UTC) + timedelta(hours=hours, seconds=seconds)
    until = after + timedelta(days=1)

    ours = list(fire_times(crontab, after=after, until=until, timezone=zone))

    assert ours == reference(crontab, after=after, until=until, zone=zone)


@given(crontab=crontabs(), after=MOMENTS, zone=st.sampled_from(sorted(available_timezones())).map(ZoneInfo))
def test_fire_times_ascend_and_may_be_asked_for_one_by_one(crontab, after, zone):
    at_once = list(islice(fire_times(crontab, after=after, timezone=zone), 4))
    one_by_one = [after]
    for _ in at_once:
        one_by_one.append(next(fire_times(crontab, after=one_by_one[-1], timezone=zone)))

    assert at_once == sorted(set(at_once))
    assert at_once == one_by_one[1:]
    assert all(time.tzinfo is UTC and time > after for time in at_once)


# --- Changes of clocks, one by one -----------------------------------------------------------


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


# --- Rules of crontabs -----------------------------------------------------------------------


def test_both_day_fields_must_match():
    crontab = Crontab.parse("0 4 13 * 5")

    times = fire_times(crontab, after=datetime(2026, 1, 1, tzinfo=UTC), timezone=UTC)

    assert [time.date() for time in islice(times, 3)] == [
        date(2026, 2, 13),
        date(2026, 3, 13),
        date(2026, 11, 13),
    ]
    assert crontab.needs_both_days


@pytest.mark.parametrize("text", ["0 4 * * 5", "0 4 13 * *", "0 4 13 * */1", "0 4 1-31 * 5", "* * * * *"])
def test_one_day_field_alone_needs_no_other(text):
    assert not Crontab.parse(text).needs_both_days


def test_the_rarest_date_is_found():
    crontab = Crontab.parse("0 0 29 2 1")  # a Monday

    times = fire_times(crontab, after=datetime(2072, 3, 1, tzinfo=UTC), timezone=UTC)

    # 40 years after 2072, as 2100 is no leap year.
    assert [time.date() for time in islice(times, 2)] == [date(2112, 2, 29), date(2140, 2, 29)]


def test_a_date_that_never_comes_is_refused_by_the_search_too():
    crontab = Crontab.parse("0 0 31 2,4 *")

    with pytest.raises(InvalidCrontab, match="choose a day up to 30"):
        next(fire_times(crontab, after=datetime(2026, 1, 1, tzinfo=UTC), timezone=BERLIN))


def test_a_date_that_comes_only_in_a_gap_is_found():
    # 29 March is a Sunday with a change of clocks in 2026.
    assert local_times("30 2 29 3 0", after="2026-01-01", zone=BERLIN, number=1) == ["2026-03-29 03:30 +0200"]


def test_after_is_exclusive_and_until_inclusive():
    two, three = datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC)
    hourly = Crontab.parse("0 * * * *")

    assert list(fire_times(hourly, after=two, until=three, timezone=UTC)) == [three]
    just_before = two - timedelta(microseconds=1)
    assert next(fire_times(hourly, after=just_before, timezone=UTC)) == two
    assert list(fire_times(hourly, after=two, until=three - timedelta(microseconds=1), timezone=UTC)) == []


def test_limits_may_be_in_any_zone():
    after = datetime(2026, 7, 1, 10, tzinfo=NEW_YORK)

    assert next(fire_times(Crontab.parse("0 16 * * *"), after=after, timezone=BERLIN)) == datetime(
        2026, 7, 2, 14, tzinfo=UTC
    )


# --- Valid and invalid -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("60 * * * *", "minute", "60 is out of range: use 0 to 59."),
        ("0 25 * * *", "hour", "25 is out of range: use 0 to 23."),
        ("0 20-24 * * *", "hour", "24 is out of range"),
        ("0 0 0 * *", "day_of_month", "use 1 to 31"),
        ("0 0 32 * *", "day_of_month", "use 1 to 31"),
        ("0 0 * 13 *", "month_of_year", "use 1 to 12"),
        ("0 0 * * 7", "day_of_week", "Sunday is 0"),
        ("0 0 * * 5-7", "day_of_week", "Sunday is 0"),
        ("0 0 * * 8", "day_of_week", "use 0 to 6"),
        ("x * * * *", "minute", "not understood"),
        ("1-5-7 * * * *", "minute", "not understood"),
        ("-5 * * * *", "minute", "not understood"),
        ("*/ * * * *", "minute", "not understood"),
        ("*/x * * * *", "minute", "not understood"),
        ("1-5/2/3 * * * *", "minute", "not understood"),
        ("1_0 * * * *", "minute", "not understood"),
        ("٣ * * * *", "minute", "not understood"),
        ("5! * * * *", "minute", "not understood"),
        ("mon * * * *", "minute", "not understood"),
        ("0 0 * mon *", "month_of_year", "not understood"),
        ("0 0 * * jan", "day_of_week", "not understood"),
        ("0 0 * * mo", "day_of_week", "not understood"),
        ("0 0 L * *", "day_of_month", "Choose day 28, which every month has"),
        ("0 0 LW * *", "day_of_month", "Choose day 28"),
        ("0 0 15W * *", "day_of_month", "day 15-21 and mon"),
        ("0 0 ? * *", "day_of_month", "Write *"),
        ("0 0 * * mon#1", "day_of_week", "“mon#1” is not understood here. Choose day 1-7 and mon"),
        ("0 0 * * 5#3", "day_of_week", "Choose day 15-21 and 5"),
        ("0 0 * * friL", "day_of_week", "Choose day 22-28 and fri"),
        ("H * * * *", "minute", "such as 17"),
        ("H/15 * * * *", "minute", "such as 7-59/15"),
        ("@daily", "minute", "Write 0 0 * * *"),
        ("@reboot", "minute", "write all five fields"),
        ("*/0 * * * *", "minute", "use 1 or more"),
        ("*/90 * * * *", "minute", "A step of 90 is longer than this field: use up to 60, or write 0 alone."),
        ("0 */25 * * *", "hour", "use up to 24, or write 0 alone"),
        ("0 0 */32 * *", "day_of_month", "use up to 31, or write 1 alone"),
        ("0 0 1 */13 *", "month_of_year", "use up to 12, or write 1 alone"),
        ("0 0 * * 1-5/8", "day_of_week", "use up to 7, or write 1 alone"),
        ("0 5/2 * * *", "hour", "write 5-23/2 instead of 5/2"),
        ("1,,2 * * * *", "minute", "a comma too many"),
        ("1, * * * *", "minute", "a comma too many"),
        ("0 0 31 2 *", "day_of_month", "choose a day up to 29"),
        ("0 0 31 4,6,9,11 *", "day_of_month", "choose a day up to 30"),
        ("* * * *", "minute", "has 4 fields"),
        ("* * * * * *", "minute", "has 6 fields"),
        ("", "minute", "has 0 fields"),
    ],
)
def test_an_invalid_crontab_names_the_field_and_the_remedy(text, field, said):
    with pytest.raises(InvalidCrontab) as error:
        Crontab.parse(text).validate()

    assert error.value.field == field
    assert said in error.value.message
    assert str(error.value) == f"{field}: {error.value.message}"


@pytest.mark.parametrize(
    ("text", "said"), [("", "empty"), (" ", "empty"), ("1 2", "Leave out the spaces"), ("1 - 5", "spaces")]
)
def test_a_field_that_is_empty_or_has_spaces_inside_is_refused(text, said):
    with pytest.raises(InvalidCrontab, match=said) as error:
        Crontab(hour=text).validate()

    assert error.value.field == "hour"


@pytest.mark.parametrize("text", ["", "7", "*/0", "nonsense", "-1"])
def test_a_stored_crontab_that_celery_refuses_fires_never(text):
    crontab = Crontab(day_of_week=text)

    with pytest.raises(InvalidCrontab) as error:
        next(fire_times(crontab, after=datetime(2026, 1, 1, tzinfo=UTC), timezone=UTC))
    assert error.value.field == "day_of_week"
    with pytest.raises(InvalidCrontab):
        describe(crontab, "en")


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "*/15 9-17 * * mon-fri",
        "0 0 29 2 *",
        "0 0 30,31 2,4 *",
        "0 22-3 * * fri-mon",
        "0 0 1 JAN,july Sunday",
        "5 0-23/7 1-15/2 * 0,6",
    ],
)
def test_a_valid_crontab_keeps_its_spelling(text):
    crontab = Crontab.parse(text)

    crontab.validate()

    assert str(crontab) == text


def test_white_space_about_commas_says_nothing():
    """As an import or another tool writes it; Celery fires at both minutes."""
    spaced = Crontab(minute=" 0, 30", hour="3 ,4")

    spaced.validate()

    assert spaced == Crontab(minute="0,30", hour="3,4")
    assert Crontab.parse(str(spaced)) == spaced


RUBBISH = st.text(alphabet="0123456789*,-/ #LWH?@monfri\tAZ٣_", max_size=8)


@given(
    name=st.sampled_from(list(BOUNDS)),
    text=st.one_of(RUBBISH, st.sampled_from(list(BOUNDS)).flatmap(field_texts)),
)
@hypothesis_settings(max_examples=size(300, 50_000))
@example(name="day_of_week", text="mon#1")
@example(name="day_of_week", text="fri L")
@example(name="minute", text="mon")
@example(name="minute", text="0, 30")
@example(name="minute", text="1 2")
@pytest.mark.soak
def test_what_one_refuses_all_refuse(name, text):
    crontab, after = Crontab(**{name: text}), datetime(2026, 1, 1, tzinfo=UTC)
    try:
        crontab.validate()
    except InvalidCrontab as refused:
        for refuse in (
            lambda: next(fire_times(crontab, after=after, timezone=UTC)),
            lambda: clock_changes(crontab, after=after, zone=BERLIN),
            lambda: describe(crontab, "en"),
        ):
            with pytest.raises(InvalidCrontab, match=re.escape(refused.message)):
                refuse()
    else:
        assert next(fire_times(crontab, after=after, timezone=UTC))
        assert Crontab.parse(str(crontab)) == crontab


@given(crontab=crontabs())
def test_whatever_is_valid_celery_takes_and_words_describe(crontab):
    theirs = celery_crontab(
        minute=crontab.minute,
        hour=crontab.hour,
        day_of_month=crontab.day_of_month,
        month_of_year=crontab.month_of_year,
        day_of_week=crontab.day_of_week,
    )

    assert {name: set(numbers) for name, numbers in crontab.matches.items()} == {
        name: getattr(theirs, name) for name in BOUNDS
    }
    assert describe(crontab, "en")
    assert not set(calendar.day_name[:] + calendar.month_name[1:]) & set(describe(crontab, "zh-hans").split())


# --- Words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("30 2 * * 0", "At 02:30, only on Sunday", "在 02:30, 仅在 星期日"),
        ("0 * * * *", "Every hour", "每小时"),
        ("*/20 * * * *", "Every 20 minutes", "每 20 分钟"),
        ("0 14 * * mon-fri", "At 14:00, Monday through Friday", "在 14:00, 星期一 到 星期五"),
        ("0 14 * * Monday", "At 14:00, only on Monday", "在 14:00, 仅在 星期一"),
        ("0 0 1 jan,may *", "At 00:00, on day 1 of the month, only in January and May", "在 00:00, 每月的 1 号, 仅在 一月 和 五月"),
        ("0 0 */20 * *", "At 00:00, on day 1 and 21 of the month", "在 00:00, 每月的 1 和 21 号"),
        ("0 0 1 */6 *", "At 00:00, on day 1 of the month, only in January and July", "在 00:00, 每月的 1 号, 仅在 一月 和 七月"),
        ("0 1 * * */7", "At 01:00, only on Sunday", "在 01:00, 仅在 星期日"),
        ("0 1 * * */1", "At 01:00", "在 01:00"),
        ("0-4/2,30 4 * * *", "At 0, 2, 4, and 30 minutes past the hour, at 04:00", "在每小时的 0, 2, 4, 和 30 分, 在 04:00"),
    ],
)  # fmt: skip
def test_a_crontab_in_words(text, english, chinese):
    crontab = Crontab.parse(text)

    assert describe(crontab, "en") == english
    assert describe(crontab, "zh-hans") == chinese


# --- Intervals and clock times ---------------------------------------------------------------


def test_an_interval_keeps_its_phase():
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    interval = Interval(every=timedelta(minutes=7), anchor=anchor)
    after = anchor + timedelta(days=100, seconds=1)

    times = list(islice(fire_times(interval, after=after, timezone=BERLIN), 3))

    assert all((time - anchor) % interval.every == timedelta(0) for time in times)
    assert after < times[0] <= after + interval.every
    assert times[1] - times[0] == times[2] - times[1] == interval.every


def test_the_anchor_is_the_first_slot_of_an_interval():
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    interval = Interval(every=timedelta(hours=1), anchor=anchor)

    early = fire_times(interval, after=anchor - timedelta(days=1), timezone=UTC)
    late = fire_times(interval, after=anchor, timezone=UTC)

    assert next(early) == anchor
    assert next(late) == anchor + timedelta(hours=1)


def test_an_interval_counts_real_time_over_a_change_of_clocks():
    anchor = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    interval = Interval(every=timedelta(days=1), anchor=anchor)

    time = next(fire_times(interval, after=anchor, timezone=BERLIN))

    assert time == datetime(2026, 3, 29, 13, tzinfo=BERLIN)


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="longer than zero"):
        Interval(every=timedelta(0), anchor=datetime(2026, 1, 1, tzinfo=UTC))


def test_one_moment_fires_once():
    at = datetime(2026, 1, 1, 12, tzinfo=SHANGHAI)

    assert list(fire_times(Once(at), after=at - timedelta(seconds=1), timezone=UTC)) == [at]
    assert list(fire_times(Once(at), after=at, timezone=UTC)) == []
    early = at - timedelta(hours=1)
    assert list(fire_times(Once(at), after=early, until=at - timedelta(seconds=1), timezone=UTC)) == []


# --- A second opinion --------------------------------------------------------------------------


@given(crontab=crontabs(), after=MOMENTS, zone=st.sampled_from([ZoneInfo("UTC"), SHANGHAI]))
def test_it_agrees_with_a_library_that_knows_nothing_of_celery(crontab, after, zone):
    # Where only one of the day fields is restricted: Unix cron fires on either, Celery on both.
    assume(not crontab.needs_both_days)
    assume("*/" not in crontab.day_of_month + crontab.day_of_week)  # which Unix cron calls unrestricted
    start = after.astimezone(zone)
    theirs = CronSim(in_numbers(crontab), start)

    ours = list(islice(fire_times(crontab, after=after, timezone=zone), 5))

    assert ours == [time.astimezone(UTC) for time in islice(theirs, 5)]


def in_numbers(crontab):
    """Celery's names in full, its wrapping ranges and long steps are its own: give the numbers."""
    return " ".join(
        "*" if len(numbers) > last - first else ",".join(map(str, numbers))
        for numbers, (first, last) in zip(crontab.matches.values(), BOUNDS.values(), strict=True)
    )


# --- An oracle that shares no code ---------------------------------------------------------------


def numbers_of(name, text):
    """A field's numbers, read anew from Celery's rules: names, ranges that wrap, steps, lists, white space."""
    first, last = BOUNDS[name]
    names = {"month_of_year": [m.lower() for m in calendar.month_name], "day_of_week": SUNDAY_FIRST}.get(
        name, []
    )

    def number(word):
        word = word.strip().lower()
        return (
            int(word)
            if word.isdecimal()
            else next(n for n, known in enumerate(names) if known[:3] == word[:3])
        )

    found = set()
    for part in text.split(","):
        body, _, step = part.strip().partition("/")
        if body == "*":
            span = list(range(first, last + 1))
        else:
            begin, _, end = body.partition("-")
            begin, end = number(begin), number(end or begin)
            span = (
                list(range(begin, end + 1))
                if begin <= end
                else [*range(begin, last + 1), *range(first, end + 1)]
            )
        found.update(span[:: int(step or 1)])
    return found


SUNDAY_FIRST = [calendar.day_name[n - 1].lower() for n in range(7)]


def oracle(texts, *, after, until, zone):
    """Every minute of UTC, as clocks on the wall show it; no search, no folds of our own."""
    fields = {name: numbers_of(name, text) for name, text in texts.items()}
    found, shown = set(), {}
    minute = after.replace(second=0, microsecond=0) - timedelta(days=2)
    previous = None
    while minute <= until + timedelta(days=1):
        wall = minute.astimezone(zone).replace(tzinfo=None)
        walls = [(wall, minute)]
        jump = previous and wall - previous - timedelta(minutes=1)
        if jump and jump > timedelta(0):
            # Times that were left out run as much later as the clock jumped.
            walls += [
                (wall - timedelta(minutes=n), minute + jump - timedelta(minutes=n))
                for n in range(1, jump // timedelta(minutes=1) + 1)
            ]
        previous = wall
        for shows, moment in walls:
            if not (
                shows.minute in fields["minute"]
                and shows.hour in fields["hour"]
                and shows.day in fields["day_of_month"]
                and shows.month in fields["month_of_year"]
                and (shows.weekday() + 1) % 7 in fields["day_of_week"]
            ):
                continue
            is_second = shows in shown and shown[shows] != moment
            shown.setdefault(shows, moment)
            beside = {(shows.hour + 1) % 24, (shows.hour - 1) % 24} & fields["hour"]
            if not is_second or beside:
                found.add(moment)
        minute += timedelta(minutes=1)
    return sorted(moment for moment in found if after < moment <= until)


@st.composite
def spaced(draw, name):
    """A field as people and tools write it: with white space about commas, in capitals."""
    text = draw(field_texts(name))
    text = draw(st.sampled_from([",", ", ", " ,", " , "])).join(text.split(","))
    return draw(st.sampled_from(["", " "])) + draw(st.sampled_from([text, text.upper()]))


DST_ZONES = [
    BERLIN,
    NEW_YORK,
    LORD_HOWE,
    SHANGHAI,
    ZoneInfo("America/Havana"),
    ZoneInfo("Africa/Casablanca"),
    UTC,
]


@pytest.mark.soak
@given(
    texts=st.fixed_dictionaries(
        {
            name: spaced(name) if name in ("minute", "hour") else st.just("*") | st.just("*") | spaced(name)
            for name in BOUNDS
        }
    ),
    zone=st.sampled_from(DST_ZONES),
    change=st.sampled_from(
        ["2026-03-08", "2026-03-29", "2026-04-04", "2026-10-03", "2026-10-25", "2026-11-01"]
    ),
    minutes=st.integers(-1440, 1440),
)
@hypothesis_settings(max_examples=size(25, 5_000), suppress_health_check=[HealthCheck.filter_too_much])
@example(
    texts={"minute": "0, 30", "hour": "1-6", "day_of_month": "*", "month_of_year": "*", "day_of_week": "SUN"},
    zone=BERLIN,
    change="2026-10-25",
    minutes=0,
)
def test_it_agrees_with_an_oracle_that_goes_minute_by_minute_through_utc(texts, zone, change, minutes):
    crontab = Crontab(**texts)
    try:
        crontab.validate()
    except InvalidCrontab:
        assume(False)
    after = local_time(change, UTC) + timedelta(minutes=minutes)
    until = after + timedelta(days=size(1, 3))

    ours = list(fire_times(crontab, after=after, until=until, timezone=zone))

    assert ours == oracle(texts, after=after, until=until, zone=zone)
