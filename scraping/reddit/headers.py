"""Reads numbers and times from the headers of an answer.

Reddit's headers vary: a number may be a float, an HTTP date may lack its zone, a header may be missing.
"""

import math
from datetime import datetime
from email.utils import parsedate_to_datetime

from database import clock


def seconds_in(value: str) -> float | None:
    """Return the number in a header, or the seconds until the HTTP date in it; None if it is neither."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - clock.now()).total_seconds()
        except (ValueError, TypeError):  # no date, or a date without a zone
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def date_in(value: str) -> datetime | None:
    """Return the moment of an HTTP date, or None."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else None
