"""Start and end of crontabs, intervals and single moments, against a reference that tries every minute."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from maintenance.scheduling.crontab import Crontab
from maintenance.scheduling.timing import Timing

MONDAY = datetime(2026, 11, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MINUTES = 3 * 24 * 60
MOMENTS = st.integers(0, MINUTES).map(lambda number: MONDAY + number * MINUTE)
FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/20", "7,37"]),
    st.sampled_from(["*", "3", "*/6"]),
    st.sampled_from(["*", "1", "2-3"]),
)


@st.composite
def timings(draw):
    """A timing of any kind, and whether a minute is a slot of it without limits."""
    start, expires, anchor = draw(st.none() | MOMENTS), draw(st.none() | MOMENTS), draw(MOMENTS)
    limits = {"start": start, "expires": expires}
    kind = draw(st.sampled_from(["crontab", "interval", "once"]))
    if kind == "crontab":
        minute, hour, day = draw(FIELDS)
        crontab = Crontab(minute=minute, hour=hour, day_of_week=day)
        matches = crontab.matches

        def is_slot(moment):
            day_of_week = moment.isoweekday() % 7
            return (
                moment.minute in matches["minute"]
                and moment.hour in matches["hour"]
                and day_of_week in matches["day_of_week"]
            )

        return Timing(crontab=crontab, zone="UTC", **limits), is_slot, anchor
    if kind == "interval":
        every = draw(st.integers(1, 2_000)) * MINUTE
        first = start or anchor
        return Timing(every=every, **limits), lambda m: m >= first and not (m - first) % every, anchor
    at = draw(MOMENTS)
    return Timing(clocked=at, **limits), lambda moment: moment == at, anchor


@given(timings(), MOMENTS, MOMENTS)
def test_they_are_the_minutes_that_match_within_the_limits(timing, after, until):
    time, is_slot, anchor = timing

    expected = [
        moment
        for moment in (MONDAY + number * MINUTE for number in range(MINUTES + 1))
        if is_slot(moment)
        and after < moment <= until
        and (time.start is None or moment >= time.start)
        and (time.expires is None or moment <= time.expires)
    ]

    found = list(time.fire_times(after=after, until=until, anchor=anchor))
    assert found == expected
    assert all(earlier < later for earlier, later in pairwise(found))


@given(timings(), MOMENTS)
def test_a_stored_timing_reads_as_it_was(timing, moment):
    time, _is_slot, anchor = timing

    again = Timing.parse(str(time))

    assert again == time
    assert list(again.fire_times(after=moment, until=MONDAY + 3 * timedelta(days=1), anchor=anchor)) == list(
        time.fire_times(after=moment, until=MONDAY + 3 * timedelta(days=1), anchor=anchor)
    )
