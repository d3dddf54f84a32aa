"""Times that a person writes on a command line."""

from datetime import datetime, time, tzinfo

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_naive

# Beyond these years nothing is stored, and adding a minute or another zone's offset may leave Python's calendar.
YEARS = range(1900, 2200)


def written_moment(text: str, zone: tzinfo) -> datetime | None:
    """Return the time, in ``zone`` unless it gives its offset; a date means its beginning; None if it is no time."""
    try:
        day = parse_date(text)
        moment = datetime.combine(day, time.min) if day else parse_datetime(text)
    except ValueError:
        return None
    if moment is None or moment.year not in YEARS:
        return None
    return moment.replace(tzinfo=zone) if is_naive(moment) else moment
