"""The rules of crontabs, intervals and single moments."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest

from maintenance.scheduling.firetimes import Crontab, Interval, InvalidCrontab, Once, fire_times
from tests.maintenance.scheduling.firetimes.crontabs import BERLIN, NEW_YORK, SHANGHAI, local_times


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
