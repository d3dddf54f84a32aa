"""Which crontabs are valid, and the messages for the others."""

import calendar
import re
from datetime import UTC, datetime

import pytest
from celery.schedules import crontab as celery_crontab
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from maintenance.scheduling.firetimes import Crontab, InvalidCrontab, clock_changes, describe, fire_times
from tests.maintenance.scheduling.firetimes.crontabs import BERLIN, BOUNDS, crontabs, field_texts
from tests.soak import size


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
    """An import or another tool may write it this way; Celery fires at both minutes."""
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("30 2 * * 0", "At 02:30, only on Sunday", "02:30，仅星期日"),
        ("0 * * * *", "Every hour", "每小时"),
        ("0 0,6,12 * * *", "At 00:00, 06:00 and 12:00", "00:00、06:00 和 12:00"),
        ("25 8-18 * * *", "At 25 minutes past the hour, between 08:00 and 18:59", "每小时的 25 分，08:00 和 18:59 之间"),
        ("0 8-18 * * *", "Every hour, between 08:00 and 18:59", "每小时，08:00 和 18:59 之间"),
        ("0 1-3,5 * * *", "At 01:00, 02:00, 03:00 and 05:00", "01:00、02:00、03:00 和 05:00"),
        ("0 0-18/6 * * *", "At 00:00, 06:00, 12:00 and 18:00", "00:00、06:00、12:00 和 18:00"),
        ("*/20 * * * *", "Every 20 minutes", "每 20 分钟"),
        ("0 14 * * mon-fri", "At 14:00, Monday through Friday", "14:00，星期一到星期五"),
        ("0 14 * * Monday", "At 14:00, only on Monday", "14:00，仅星期一"),
        ("0 0 1 jan,may *", "At 00:00, on day 1 of the month, only in January and May", "00:00，每月的 1 号，仅一月和五月"),
        ("0 0 */20 * *", "At 00:00, on day 1 and 21 of the month", "00:00，每月的 1 和 21 号"),
        ("0 0 1 */6 *", "At 00:00, on day 1 of the month, only in January and July", "00:00，每月的 1 号，仅一月和七月"),
        ("0 1 * * */7", "At 01:00, only on Sunday", "01:00，仅星期日"),
        ("0 1 * * */1", "At 01:00", "01:00"),
        ("0-4/2,30 4 * * *", "At 0, 2, 4, and 30 minutes past the hour, at 04:00", "每小时的 0、2、4 和 30 分，04:00"),
    ],
)  # fmt: skip
def test_a_crontab_in_words(text, english, chinese):
    crontab = Crontab.parse(text)

    assert describe(crontab, "en") == english
    assert describe(crontab, "zh-hans") == chinese
