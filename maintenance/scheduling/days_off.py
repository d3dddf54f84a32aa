"""Public holidays by country, and make-up workdays, from the package ``holidays``.

A calendar is known by its code: that of a country, such as CN, or with one of its states or provinces, such as DE-BY.

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
from database.messages import Message, Parts, register_kind
from database.messages import gettext as _

logger = logging.getLogger(__name__)

# A country publishes its make-up workdays each year if it did in three of the last five years with any.
YEARS_LOOKED_AT, YEARS_PUBLISHED, LONG_AGO = 5, 3, 3
# The kind of text that the name of a day off is; it is stored with messages.
KIND = "day_off"
# Where the names of holidays are in no language of the reader, the package's own for the country.
LANGUAGES = {"en": "en_US", "zh-hans": "zh_CN", "zh-cn": "zh_CN"}


def calendars() -> dict[str, str]:
    """Return the names of all calendars by code, in the reader's language: countries by name, each before its parts."""
    return _calendars(_language())


@lru_cache(maxsize=len(LANGUAGES))
def _calendars(language: str) -> dict[str, str]:
    known = Locale.parse(language).territories
    names = {entry[1]: known.get(entry[1], _spaced(entry[0])) for entry in COUNTRIES.values()}
    found = {}
    # GB 18030 has the Chinese characters in everyday use in the order of their pinyin.
    for code, name in sorted(names.items(), key=lambda item: _folded(item[1]).encode("gb18030")):
        found[code] = name
        parts = {part: _part_name(code, part) for part in _parts_of(code)}
        found |= {
            f"{code}-{part}": f"{name} – {parts[part]}" for part in sorted(parts, key=parts.__getitem__)
        }
    return found


def _parts_of(country: str) -> tuple[str, ...]:
    """Return the codes of the country's states or provinces that the package knows."""
    return tuple(getattr(holidays, country).subdivisions)


def _part_name(country: str, part: str) -> str:
    """Return the local name of a state or province; its code where the package has no name."""
    aliases = getattr(getattr(holidays, country), "subdivisions_aliases", {})
    return next((name for name, code in aliases.items() if code == part), part)


def name_of_calendar(code: str) -> str:
    """Return the name of the country, and of its state or province, in the reader's language; an unknown code as it is."""
    return calendars().get(code, code)


def _folded(name: str) -> str:
    """Return the name without accents, so that Åland stands beside Albania."""
    return "".join(sign for sign in unicodedata.normalize("NFD", name) if not unicodedata.combining(sign))


def _language() -> str:
    return LANGUAGES.get((get_language() or "en").lower(), "en_US")


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def is_known(code: str) -> bool:
    """Whether the installed package has this calendar."""
    country, _mark, part = code.partition("-")
    is_country = any(names[1] == country for names in COUNTRIES.values())
    return is_country and (country == code or part in _parts_of(country))


def name_of(code: str, day: date, *, with_weekends: bool) -> str:
    """Return why the day is off, as a message; empty: it is not. Never raises.

    ``with_weekends``: the country's weekend days are off too, except its make-up workdays.
    """
    parts = {"kind": KIND, "code": code, "date": day.isoformat(), "weekends": with_weekends}
    return Message(parts) if _name(code, day, _language(), with_weekends=with_weekends) else ""


def _tell(parts: Parts, is_english: bool) -> str:
    language = LANGUAGES["en"] if is_english else _language()
    return _name(parts["code"], date.fromisoformat(parts["date"]), language, with_weekends=parts["weekends"])


register_kind(KIND, _tell)


def _name(code: str, day: date, language: str, *, with_weekends: bool) -> str:
    try:
        if not is_known(code) or day.year > last_year(code):
            return ""
        calendar = _calendar(code, day.year, language)
        if day in getattr(calendar, "weekend_workdays", ()):
            return ""
        if name := calendar.get(day):
            return str(name)
        return _weekend(language) if with_weekends and not calendar.is_working_day(day) else ""
    except Exception:  # a fault of the data must not stop a schedule
        logger.exception("The calendar of %s cannot be read: its days are not off.", code)
        return ""


def _weekend(language: str) -> str:
    weekend = _("weekend")
    return weekend.english if language == LANGUAGES["en"] else weekend


@lru_cache(maxsize=256)
def _calendar(code: str, year: int, language: str) -> Any:
    known = _holidays(code).supported_languages
    # One year only: reading a day of another one would extend the calendar, also beyond its end.
    return _holidays(code, years=year, expand=False, language=language if language in known else None)


def _holidays(code: str, **options: Any) -> Any:
    country, _mark, part = code.partition("-")
    return holidays.country_holidays(country, subdiv=part or None, **options)


def last_year(code: str) -> int:
    """Return the last year that the calendar knows."""
    return _last_year(code, clock.now().year)


@lru_cache(maxsize=256)
def _last_year(code: str, this_year: int) -> int:
    calendar = _holidays(code, years=range(this_year - 2 * LONG_AGO - 5, this_year + 3))
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
