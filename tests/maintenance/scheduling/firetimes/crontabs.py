"""Time zones, and random crontabs."""

import calendar
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from maintenance.scheduling.firetimes import Crontab, InvalidCrontab, fire_times

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # sets its clocks by 30 minutes
SHANGHAI = ZoneInfo("Asia/Shanghai")
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
    """Return the fire times between two wall-clock times, as an operator reads them: "2026-03-29 03:30 +0200"."""
    after, until = local_time(after, zone), until and local_time(until, zone)
    times = fire_times(Crontab.parse(crontab), after=after, until=until, timezone=zone)
    return [f"{time.astimezone(zone):%Y-%m-%d %H:%M %z}" for time in islice(times, number)]


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


@st.composite
def spaced(draw, name):
    """Draw a field as people and tools write it: with white space around commas, in capitals."""
    text = draw(field_texts(name))
    text = draw(st.sampled_from([",", ", ", " ,", " , "])).join(text.split(","))
    return draw(st.sampled_from(["", " "])) + draw(st.sampled_from([text, text.upper()]))
