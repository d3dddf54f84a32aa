"""Notations of other crons that Celery does not know (``mon#1``, ``L``, ``15W``, ``H``, ``?``, ``@daily``).

For each there is a text that says what to write instead.
"""

import re
from collections.abc import Callable

from database.messages import gettext as _

_NICKNAMES = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
# The days of the month between which the first, second, … of a weekday lies.
_WEEKS = ("1-7", "8-14", "15-21", "22-28", "29-31")
# An example value for a field where any would do, and an example range for a step.
_ANY = {
    "minute": ("17", "7-59"),
    "hour": ("3", "1-23"),
    "day_of_month": ("5", "2-28"),
    "month_of_year": ("2", "2-12"),
    "day_of_week": ("2", "1-6"),
}


def way_out(field: str, part: str) -> str | None:
    """Return what to write instead of this item of a field; None: it is no notation of another cron.

    The text begins with the item and says that it is not understood.
    """
    for pattern, fields, remedy in _NOTATIONS:
        found = re.fullmatch(pattern, part, flags=re.IGNORECASE)
        if found and (not fields or field in fields):
            not_understood = _("“%(part)s” is not understood here.") % {"part": part}
            return f"{not_understood} {remedy(field, found)}"
    return None


def _nickname(_field: str, found: re.Match[str]) -> str:
    crontab = _NICKNAMES.get(found[1].lower())
    if crontab is None:
        return _("A schedule needs a time: write all five fields, such as 0 0 * * *.")
    return _("Write %(crontab)s: minute, hour, day of month, month and day of week.") % {"crontab": crontab}


def _nth_weekday(_field: str, found: re.Match[str]) -> str:
    days = _WEEKS[int(found[2]) - 1]
    return _("Choose day %(days)s and %(weekday)s: both must match.") % {"days": days, "weekday": found[1]}


def _last_weekday(_field: str, found: re.Match[str]) -> str:
    return _(
        "Choose day 22-28 and %(weekday)s for the fourth in the month, which every month has; the last one is"
        " day 25-31 and %(weekday)s in months of 31 days, 24-30 in those of 30."
    ) % {"weekday": found[1]}


def _last_day(_field: str, _found: re.Match[str]) -> str:
    return _("Choose day 28, which every month has, or day 1, the day after the last.")


def _nearest_weekday(_field: str, found: re.Match[str]) -> str:
    first = min(int(found[1]), 25)
    return _("Choose the day itself, %(day)s, or a weekday from it on: day %(days)s and mon.") % {
        "day": found[1],
        "days": f"{first}-{first + 6}",
    }


def _hash(field: str, found: re.Match[str]) -> str:
    value, values = _ANY[field]
    example = f"{values}/{found[2]}" if found[2] else value
    return _("Choose a value yourself, such as %(example)s.") % {"example": example}


def _any(_field: str, _found: re.Match[str]) -> str:
    return _("Write * where every value will do.")


_NOTATIONS: tuple[tuple[str, frozenset[str], Callable[[str, re.Match[str]], str]], ...] = (
    (r"@(\w+)", frozenset(), _nickname),
    (r"([a-z]{3,9}|[0-6])#([1-5])", frozenset({"day_of_week"}), _nth_weekday),
    (r"([a-z]{3,9}|[0-6])\s*L", frozenset({"day_of_week"}), _last_weekday),
    (r"L(W|-\d{1,2})?", frozenset({"day_of_month", "day_of_week"}), _last_day),
    (r"(\d{1,2})\s*W", frozenset({"day_of_month"}), _nearest_weekday),
    (r"H(\([^/]*)?(?:/(\d{1,2}))?", frozenset(), _hash),
    (r"\?", frozenset(), _any),
)
