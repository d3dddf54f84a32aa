"""Moves a crontab by some minutes, so that many schedules can be moved away from the same moment."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from database.messages import gettext as _
from maintenance.scheduling.crontab import Crontab

MINUTES_A_DAY: Final = 24 * 60


class CannotShift(ValueError):
    """The moved times cannot be written as one crontab; the text says why, in the reader's language."""


def shifted(crontab: Crontab, minutes: int) -> Crontab:
    """Return the crontab whose times of day are this many minutes later, or earlier if negative.

    Raises:
        CannotShift: a time would move to another day that the crontab does not have, or no crontab has these times.
        InvalidCrontab: the crontab itself is wrong.
    """
    matches = crontab.matches
    before = [hour * 60 + minute for hour in matches["hour"] for minute in matches["minute"]]
    moved = [time + minutes for time in before]
    has_every_day = (crontab.day_of_month, crontab.month_of_year, crontab.day_of_week) == ("*", "*", "*")
    if not has_every_day and any(not 0 <= time < MINUTES_A_DAY for time in moved):
        raise CannotShift(_("It would move to another day, and it does not run every day."))
    after = {time % MINUTES_A_DAY for time in moved}
    hours, of_hour = {time // 60 for time in after}, {time % 60 for time in after}
    if len(hours) * len(of_hour) != len(after):
        raise CannotShift(
            _("Its times would be in different minutes of different hours, which no crontab can say.")
        )
    return replace(
        crontab,
        minute=_written(of_hour, range(60), crontab.minute, matches["minute"]),
        hour=_written(hours, range(24), crontab.hour, matches["hour"]),
    )


def _written(numbers: Iterable[int], whole: Sequence[int], text: str, matched: Sequence[int]) -> str:
    """Return the field's text: unchanged if it matches the same numbers."""
    ascending = sorted(numbers)
    if ascending == sorted(matched):
        return text
    return "*" if ascending == list(whole) else ",".join(map(str, ascending))
