"""Public holidays by country, and make-up workdays, from the package ``holidays``.

Countries that move workdays, such as China, publish each year's arrangement in the autumn before: their calendar ends with
the last year that the installed package knows. After a calendar's end no day is off, so slots happen; pages say so.
"""

import logging
import re
import unicodedata
from datetime import date
from functools import lru_cache
from typing import Any

import holidays
from babel import Locale
from django.utils.translation import get_language
from holidays.registry import COUNTRIES

from database import clock
from database.messages import gettext as _

logger = logging.getLogger(__name__)

# A country publishes its make-up workdays each year if it did in three of the last five years with any.
YEARS_LOOKED_AT, YEARS_PUBLISHED, LONG_AGO = 5, 3, 3
# Where the names of holidays are in no language of the reader, the package's own for the country.
LANGUAGES = {"en": "en_US", "zh-hans": "zh_CN", "zh-cn": "zh_CN"}


def countries() -> dict[str, str]:
    """Return the names of the countries with a calendar by code, such as CN; in the reader's language, sorted by name."""
    return _countries(_language())


@lru_cache(maxsize=len(LANGUAGES))
def _countries(language: str) -> dict[str, str]:
    known = Locale.parse(language).territories
    found = {names[1]: known.get(names[1], _spaced(names[0])) for names in COUNTRIES.values()}
    # GB 18030 has the Chinese characters in everyday use in the order of their pinyin.
    return dict(sorted(found.items(), key=lambda item: _folded(item[1]).encode("gb18030")))


def _folded(name: str) -> str:
    """Return the name without accents, so that Åland stands beside Albania."""
    return "".join(sign for sign in unicodedata.normalize("NFD", name) if not unicodedata.combining(sign))


def _language() -> str:
    return LANGUAGES.get((get_language() or "en").lower(), "en_US")


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def is_known(code: str) -> bool:
    """Whether the installed package has a calendar of this country."""
    return any(names[1] == code for names in COUNTRIES.values())


def name_of(code: str, day: date, *, with_weekends: bool) -> str:
    """Return why the day is off in this country, in the reader's language; empty: it is not. Never raises.

    ``with_weekends``: the country's weekend days are off too, except its make-up workdays.
    """
    try:
        if not is_known(code) or day.year > last_year(code):
            return ""
        calendar = _calendar(code, day.year, _language())
        if day in getattr(calendar, "weekend_workdays", ()):
            return ""
        if name := calendar.get(day):
            return str(name)
        return _("weekend") if with_weekends and not calendar.is_working_day(day) else ""
    except Exception:  # a fault of the data must not stop a schedule
        logger.exception("The calendar of %s cannot be read: its days are not off.", code)
        return ""


@lru_cache(maxsize=256)
def _calendar(code: str, year: int, language: str) -> Any:
    known = holidays.country_holidays(code).supported_languages
    # One year only: reading a day of another one would extend the calendar, also beyond its end.
    return holidays.country_holidays(
        code, years=year, expand=False, language=language if language in known else None
    )


def last_year(code: str) -> int:
    """Return the last year that the calendar of this country knows."""
    return _last_year(code, clock.now().year)


@lru_cache(maxsize=256)
def _last_year(code: str, this_year: int) -> int:
    calendar = holidays.country_holidays(code, years=range(this_year - 2 * LONG_AGO - 5, this_year + 3))
    published = {day.year for day in getattr(calendar, "weekend_workdays", ())}
    latest = max(published, default=0)
    recent = [year for year in published if year > latest - YEARS_LOOKED_AT]
    if len(recent) >= YEARS_PUBLISHED and latest >= this_year - LONG_AGO:
        return latest
    return int(calendar.end_year)


def ends_soon(code: str) -> int | None:
    """Return the last year of the calendar if it ends before the year after next; None: it does not."""
    if not is_known(code):
        return None
    last = last_year(code)
    return last if last <= clock.now().year + 1 else None
