"""A shifted crontab fires at the same moments of the day, some minutes later, or is refused."""

import pytest
from django_celery_beat.models import PeriodicTask
from hypothesis import given
from hypothesis import strategies as st

from maintenance.scheduling import edits
from maintenance.scheduling.crontab import Crontab
from maintenance.scheduling.shifting import MINUTES_A_DAY, CannotShift, shifted
from tests.kit import factories

FIELD = st.sampled_from(["*", "*/7", "*/15", "0", "30", "5,35", "10-20", "0-59/20"])
HOURS = st.sampled_from(["*", "*/6", "0", "2", "23", "8-17", "0,12", "1-23/2"])


def times(crontab):
    return {hour * 60 + minute for hour in crontab.matches["hour"] for minute in crontab.matches["minute"]}


@given(FIELD, HOURS, st.integers(-MINUTES_A_DAY, MINUTES_A_DAY), st.sampled_from(["*", "0", "1-5"]))
def test_every_time_moves_and_none_is_added(minute, hour, minutes, day_of_week):
    crontab = Crontab(minute=minute, hour=hour, day_of_week=day_of_week)
    wanted = {(time + minutes) % MINUTES_A_DAY for time in times(crontab)}
    stays = all(0 <= time + minutes < MINUTES_A_DAY for time in times(crontab))

    try:
        moved = shifted(crontab, minutes)
    except CannotShift:
        product = {(time // 60, time % 60) for time in wanted}
        whole = len({hour for hour, _ in product}) * len({minute for _, minute in product}) == len(product)
        assert not whole or (day_of_week != "*" and not stays)
        return

    assert times(moved) == wanted
    assert moved.day_of_week == day_of_week
    assert stays or day_of_week == "*"


@pytest.mark.parametrize(
    ("text", "minutes", "moved"),
    [
        ("30 2 * * 0", 45, "15 3 * * 0"),
        ("30 2 * * 0", -150, "0 0 * * 0"),
        ("0 * * * *", 7, "7 * * * *"),
        ("0 0,6,12,18 * * *", 20, "20 0,6,12,18 * * *"),
        ("50 23 * * *", 20, "10 0 * * *"),
        ("*/20 * * * *", 5, "5,25,45 * * * *"),
        ("* * * * *", 5, "* * * * *"),
    ],
)
def test_examples(text, minutes, moved):
    assert str(shifted(Crontab.parse(text), minutes)) == moved


@pytest.mark.parametrize(
    ("text", "minutes", "told"),
    [
        ("50 23 * * 0", 20, "another day"),
        ("30 2 1 * *", -151, "another day"),
        ("0,50 2 * * *", 20, "no crontab"),
    ],
)
def test_what_no_crontab_can_say_is_refused(text, minutes, told):
    with pytest.raises(CannotShift, match=told):
        shifted(Crontab.parse(text), minutes)


@pytest.mark.django_db
def test_a_retime_by_somebody_else_is_shifted_not_overwritten():
    task = factories.schedule(crontab="30 2 * * *")
    seen_before = PeriodicTask.objects.get(pk=task.pk)
    edits.retime(task, by=None, crontab=Crontab.parse("0 12 * * *"), timezone_name="UTC")

    edits.shift(seen_before, by=None, minutes=20)

    task.refresh_from_db()
    assert (task.crontab.minute, task.crontab.hour) == ("20", "12")
