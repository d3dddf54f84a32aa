"""Fire times compared with Celery's, with two other crontab libraries, and with a check of every minute."""

import calendar
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

from maintenance.scheduling.firetimes import Crontab, InvalidCrontab, fire_times
from tests.maintenance.scheduling.firetimes.crontabs import (
    BERLIN,
    BOUNDS,
    LORD_HOWE,
    NEW_YORK,
    SHANGHAI,
    crontabs,
    local_time,
    spaced,
)
from tests.soak import size


def celery_times(crontab, *, after, zone, number):
    """Return the fire times of Celery's own crontab, computed again after every run."""
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


@pytest.mark.slow
@given(crontab=crontabs(), after=MOMENTS, zone=st.sampled_from([ZoneInfo("UTC"), SHANGHAI]))
def test_without_changes_of_clocks_it_agrees_with_celery(crontab, after, zone):
    ours = list(islice(fire_times(crontab, after=after, timezone=zone), 5))

    assert ours == celery_times(crontab, after=after, zone=zone, number=5)


@pytest.mark.slow
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


@pytest.mark.slow
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


def reference(crontab, *, after, until, zone):
    """Apply the rules at the top of firetimes.py to every single minute."""
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
    # Every real minute as wall-clock time; fold: the clock shows this time for the second time.
    moment = after.replace(second=0, microsecond=0)
    while moment <= until:
        wall = moment.astimezone(zone)
        if is_match(wall) and (not wall.fold or runs_twice(wall.hour)):
            times.add(moment)
        moment += timedelta(minutes=1)
    # Every wall-clock minute that was skipped.
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


@pytest.mark.slow
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


@pytest.mark.slow
@given(crontab=crontabs(), after=MOMENTS, zone=st.sampled_from(sorted(available_timezones())).map(ZoneInfo))
def test_fire_times_ascend_and_may_be_asked_for_one_by_one(crontab, after, zone):
    at_once = list(islice(fire_times(crontab, after=after, timezone=zone), 4))
    one_by_one = [after]
    for _ in at_once:
        one_by_one.append(next(fire_times(crontab, after=one_by_one[-1], timezone=zone)))

    assert at_once == sorted(set(at_once))
    assert at_once == one_by_one[1:]
    assert all(time.tzinfo is UTC and time > after for time in at_once)


@pytest.mark.slow
@given(crontab=crontabs(), after=MOMENTS, zone=st.sampled_from([ZoneInfo("UTC"), SHANGHAI]))
def test_it_agrees_with_a_library_that_knows_nothing_of_celery(crontab, after, zone):
    # Only crontabs with at most one restricted day field: Unix cron fires if either matches, Celery if both do.
    assume(not crontab.needs_both_days)
    assume("*/" not in crontab.day_of_month + crontab.day_of_week)  # which Unix cron calls unrestricted
    start = after.astimezone(zone)
    theirs = CronSim(in_numbers(crontab), start)

    ours = list(islice(fire_times(crontab, after=after, timezone=zone), 5))

    assert ours == [time.astimezone(UTC) for time in islice(theirs, 5)]


def in_numbers(crontab):
    """Replace names, wrapping ranges and long steps, which only Celery understands, by numbers."""
    return " ".join(
        "*" if len(numbers) > last - first else ",".join(map(str, numbers))
        for numbers, (first, last) in zip(crontab.matches.values(), BOUNDS.values(), strict=True)
    )


def numbers_of(name, text):
    """Return a field's numbers by a second implementation of Celery's rules: names, ranges, steps, lists, spaces."""
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
    """Check every minute of UTC as wall-clock time, without a search and without our handling of folds."""
    fields = {name: numbers_of(name, text) for name, text in texts.items()}
    found, shown = set(), {}
    minute = after.replace(second=0, microsecond=0) - timedelta(days=2)
    previous = None
    while minute <= until + timedelta(days=1):
        wall = minute.astimezone(zone).replace(tzinfo=None)
        walls = [(wall, minute)]
        jump = previous and wall - previous - timedelta(minutes=1)
        if jump and jump > timedelta(0):
            # Skipped times run later by as much as the clock jumped.
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


@pytest.mark.slow
@given(
    zone=st.sampled_from(sorted(available_timezones())).map(ZoneInfo),
    day=st.dates(date(1950, 1, 1), date(2037, 1, 1)),
    step=st.sampled_from([1, 1, 7, 20]),
)
@example(BERLIN, date(2026, 3, 28), 1)
@example(BERLIN, date(2026, 10, 24), 1)
@example(LORD_HOWE, date(2026, 4, 4), 1)
@example(LORD_HOWE, date(2026, 10, 3), 20)
@example(ZoneInfo("Pacific/Apia"), date(2011, 12, 28), 1)
@example(ZoneInfo("Asia/Pyongyang"), date(2015, 8, 14), 7)
def test_the_minutes_of_an_hour_fire_together_when_each_alone_would(zone, day, step):
    after = datetime(day.year, day.month, day.day, tzinfo=UTC)
    until = after + timedelta(days=4)

    def times(minutes):
        return fire_times(Crontab(minute=minutes), after=after, until=until, timezone=zone)

    alone = {time for minute in range(0, 60, step) for time in times(str(minute))}
    assert list(times(f"*/{step}")) == sorted(alone)
