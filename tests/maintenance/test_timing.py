"""A schedule's timing, stored and read back."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from hypothesis import given
from hypothesis import strategies as st

from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.timing import Timing
from tests.kit import factories

NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)
moments = st.integers(-26 * 365 * 86_400, 70 * 365 * 86_400).map(lambda s: NOON + timedelta(seconds=s))
timings = st.builds(
    Timing,
    crontab=st.none()
    | st.sampled_from(
        [Crontab.parse("*/5 0-6 1,15 jan-mar mon"), Crontab(minute="0, 30"), Crontab(hour="1 2")]
    ),
    zone=st.sampled_from(["", "UTC", "Europe/Berlin"]),
    every=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    clocked=st.none() | moments,
    solar=st.none() | st.just(("sunrise", 52.5, -13.25)),
    start=st.none() | moments,
    expires=st.none() | moments,
    enabled=st.booleans(),
)


def is_of_a_kind(timing):
    return bool(timing.crontab) == bool(timing.zone) and any(
        (timing.crontab, timing.every, timing.clocked, timing.solar)
    )


@given(timings.filter(is_of_a_kind))
def test_what_is_written_is_read_back(timing):
    assert Timing.parse(str(timing)) == timing


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"crontab": ["1", "2"], "zone": "UTC"}', '{"every": "x", "enabled": true}'],
)
def test_what_cannot_be_read_is_none(text):
    assert Timing.parse(text) is None


@pytest.mark.parametrize(
    ("fields", "crontab"),
    [
        ("*/5 0-6 1,15 jan-mar mon", Crontab.parse("*/5 0-6 1,15 jan-mar mon")),
        ("0, 30 3 * * *", Crontab(minute="0,30", hour="3")),
        # It never fired; it may only be read as a broken timing.
        ("1 2 3 * * *", Crontab(minute="1 2 3 * * *")),
    ],
)
def test_what_an_earlier_version_wrote_is_read(fields, crontab):
    text = f'{{"crontab": "{fields} Europe/Berlin", "enabled": true}}'

    assert Timing.parse(text) == Timing(crontab=crontab, zone="Europe/Berlin")


@pytest.mark.django_db
def test_every_kind_of_schedule_is_understood():
    kinds = {
        "crontab": factories.schedule(crontab="1 2 * * *", timezone_name="Europe/Berlin"),
        "every": PeriodicTask.objects.create(
            name="i", task="x", interval=IntervalSchedule.objects.create(every=3, period="hours")
        ),
        "clocked": PeriodicTask.objects.create(
            name="c", task="x", one_off=True, clocked=ClockedSchedule.objects.create(clocked_time=NOON)
        ),
        "solar": PeriodicTask.objects.create(
            name="s",
            task="x",
            solar=SolarSchedule.objects.create(event="sunset", latitude="52.5", longitude="13.4"),
        ),
    }
    for kind, task in kinds.items():
        timing = Timing.of(PeriodicTask.objects.get(pk=task.pk))
        assert getattr(timing, kind)
        assert Timing.parse(str(timing)) == timing


def times(timing, number, *, after=NOON):
    return list(islice(timing.fire_times(after=after, anchor=NOON), number))


def test_the_sun_rises_once_a_day_however_often_it_is_asked():
    sunrise = Timing(solar=("sunrise", 52.5, 13.4))
    mornings = times(sunrise, 30)

    assert all(
        timedelta(hours=23) < later - earlier < timedelta(hours=25) for earlier, later in pairwise(mornings)
    )
    # Berlin, 4 June 2026: 04:47 in summer time.
    assert abs(mornings[0] - datetime(2026, 6, 4, 2, 47, tzinfo=UTC)) < timedelta(minutes=2)
    for earlier, later in pairwise(mornings):
        assert times(sunrise, 1, after=earlier) == [later]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "latitude", "longitude"),
    [
        ("sunset", 41.9, -87.6),  # Chicago: passes 00:00 UTC in September
        ("sunset", 39.7, -105.0),  # Denver: in October
        ("solar_noon", -36.8, 174.8),  # Auckland: close to it all year
    ],
)
def test_an_event_that_passes_midnight_is_lost_on_no_day(event, latitude, longitude):
    year = timedelta(days=365)
    timing = Timing(solar=(event, latitude, longitude))
    events = list(timing.fire_times(after=NOON, until=NOON + year, anchor=NOON))

    assert len(events) == 365
    assert all(
        timedelta(hours=23) < later - earlier < timedelta(hours=25) for earlier, later in pairwise(events)
    )
    for earlier, later in list(pairwise(events))[::5]:
        assert times(timing, 1, after=earlier) == [later]


def test_the_polar_night_is_waited_for():
    (first,) = times(Timing(solar=("sunrise", 78.2, 15.6)), 1, after=datetime(2026, 12, 1, tzinfo=UTC))

    assert datetime(2027, 2, 1, tzinfo=UTC) < first < datetime(2027, 3, 1, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("latitude", [-90.0, 90.0, 89.99])
def test_where_the_sun_never_rises_the_search_ends(latitude):
    sunrise = Timing(solar=("sunrise", latitude, 0.0))

    assert len(times(sunrise, 3)) < 3
    assert list(sunrise.fire_times(after=NOON, until=NOON + timedelta(days=30), anchor=NOON)) == []


def test_start_and_end_limit_every_kind():
    hour = timedelta(hours=1)
    timing = Timing(every=hour, start=NOON + 3 * hour, expires=NOON + 5 * hour)

    assert times(timing, 9) == [NOON + n * hour for n in (3, 4, 5)]


@pytest.mark.slow
@given(
    crontab=st.sampled_from(["* * * * *", "*/7 1-5 * * *", "0 0 * * *", "0 0 1 1 *"]),
    slots=st.integers(1, 2_000),
    after=moments,
)
def test_a_span_holds_no_more_slots_than_it_is_asked_for(crontab, slots, after):
    timing = Timing(crontab=Crontab.parse(crontab), zone="UTC")
    until = after + timing.span_of(slots)

    # A part of a day may contain all slots of that day.
    day = len(timing.crontab.matches["hour"]) * len(timing.crontab.matches["minute"])
    assert len(list(timing.fire_times(after=after, until=until, anchor=after))) <= slots + day
