"""A crontab: Celery's five fields, what they match, what is refused, and its description in words.

This is the only place that parses a field: what is refused here is refused by the form and never fires.
"""

import calendar
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from celery.schedules import ParseException, crontab_parser
from cron_descriptor import ExpressionDescriptor, Options
from django.utils import dates, translation

from database.messages import gettext as _
from maintenance.scheduling.other_crons import way_out


class InvalidSchedule(ValueError):
    """A schedule that can never fire as it is stored; the message says why, and what to do."""


class InvalidTime(InvalidSchedule):
    """A part of a schedule's time that cannot be used.

    ``field`` is its name, such as ``every``; ``message`` says what is wrong and what to write instead.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class InvalidCrontab(InvalidTime):
    """A crontab field that cannot be used, such as ``day_of_week``."""


# --- The value -------------------------------------------------------------------------------

# The first and the last number of each field, in the order in which they are written.
_BOUNDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day_of_month": (1, 31),
    "month_of_year": (1, 12),
    "day_of_week": (0, 6),
}
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
# Celery accepts these names in every field, and reads the minute "mon" as 1.
_NAMES = {
    "month_of_year": {name: number for number, name in enumerate(_MONTHS, start=1)},
    "day_of_week": {name: number for number, name in enumerate(_WEEKDAYS)},
}
# The number of days of each month, with leap years.
_LONGEST = {month: calendar.monthrange(2024, month)[1] for month in range(1, 13)}


@dataclass(frozen=True)
class Crontab:
    """Celery's five crontab fields as they are written, without white space around commas."""

    minute: str = "*"
    hour: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    day_of_week: str = "*"

    def __post_init__(self) -> None:
        # Celery reads "0, 30" as "0,30"; with the space, fields written one after the other could not be separated.
        for name in _BOUNDS:
            object.__setattr__(self, name, re.sub(r"\s*,\s*", ",", getattr(self, name).strip()))

    @classmethod
    def parse(cls, text: str) -> "Crontab":
        """Return the crontab of "minute hour day-of-month month day-of-week".

        Raises:
            InvalidCrontab: there are not five fields. Their content is checked by ``validate()``.
        """
        parts = text.split()
        if len(parts) == 1 and (remedy := way_out("minute", parts[0])):
            raise InvalidCrontab("minute", remedy)
        if len(parts) != len(_BOUNDS):
            raise InvalidCrontab(
                "minute",
                _(
                    "“%(text)s” has %(number)s fields: write minute, hour, day of month, month and day of week."
                )
                % {"text": text, "number": len(parts)},
            )
        return cls(*parts)

    def __str__(self) -> str:
        return " ".join(self.parts)

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        """The fields as they are written."""
        return self.minute, self.hour, self.day_of_month, self.month_of_year, self.day_of_week

    @cached_property
    def matches(self) -> dict[str, tuple[int, ...]]:
        """The numbers that each field matches, ascending, as Celery expands it.

        Raises:
            InvalidCrontab: for the first field that is wrong.
        """
        return {name: _expand(name, getattr(self, name)) for name in _BOUNDS}

    @property
    def needs_both_days(self) -> bool:
        """Whether day of month and day of week are both restricted: Unix cron would fire on either."""
        return len(self.matches["day_of_month"]) < 31 and len(self.matches["day_of_week"]) < 7

    def validate(self) -> None:
        """Refuse what cannot be meant; stricter than Celery, which ignores trailing garbage.

        Raises:
            InvalidCrontab: for the first field that is wrong, or a date that never comes.
        """
        longest = max(_LONGEST[month] for month in self.matches["month_of_year"])
        if self.matches["day_of_month"][0] > longest:
            raise InvalidCrontab(
                "day_of_month",
                _("No month of this schedule has such a day: choose a day up to %(last)s, or another month.")
                % {"last": longest},
            )


# --- Checks ----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _expand(name: str, text: str) -> tuple[int, ...]:
    _check(name, text)
    first, last = _BOUNDS[name]
    try:
        return tuple(sorted(crontab_parser(last - first + 1, first).parse(text)))
    except (ParseException, ValueError, IndexError) as error:
        raise InvalidCrontab(name, str(error)) from None


def _check(name: str, text: str) -> None:
    """Raise InvalidCrontab unless the field is "*", "*/2", "1", "1-5", "1-5/2", or a list of these."""
    if not text.strip():
        raise InvalidCrontab(name, _("This field is empty: write * where every value will do."))
    for part in text.split(","):
        if not part:
            raise InvalidCrontab(name, _("There is a comma too many: a list is written 1,2,3."))
        if remedy := way_out(name, part):
            raise InvalidCrontab(name, remedy)
        if len(part.split()) > 1:
            raise InvalidCrontab(name, _("Leave out the spaces: a list is written 1,2,3."))
        _check_part(name, part)


def _check_part(name: str, part: str) -> None:
    first, last = _BOUNDS[name]
    body, slash, step = part.partition("/")
    ends = [] if body == "*" else [_number(name, end, part) for end in body.split("-")]
    for number in ends:
        _check_bounds(name, number)
    if len(ends) > 2:
        raise _not_understood(name, part)
    if not slash:
        return
    if len(ends) == 1:
        raise InvalidCrontab(
            name,
            _("A step needs a range before it: write %(range)s instead of %(part)s.")
            % {"range": f"{body}-{last}/{step}", "part": part},
        )
    number = _number(name, step, part)
    if number < 1:
        raise InvalidCrontab(name, _("A step of 0 never moves on: use 1 or more."))
    if number > last - first + 1:
        raise InvalidCrontab(
            name,
            _(
                "A step of %(step)s is longer than this field: use up to %(longest)s, or write %(value)s alone."
            )
            % {"step": number, "longest": last - first + 1, "value": ends[0] if ends else first},
        )


def _check_bounds(name: str, number: int) -> None:
    first, last = _BOUNDS[name]
    if name == "day_of_week" and number == 7:
        raise InvalidCrontab(name, _("There is no day 7: Sunday is 0, Saturday is 6."))
    if not first <= number <= last:
        raise InvalidCrontab(
            name,
            _("%(number)s is out of range: use %(first)s to %(last)s.")
            % {"number": number, "first": first, "last": last},
        )


def _number(name: str, text: str, part: str) -> int:
    for known, number in _NAMES.get(name, {}).items():
        if len(text) >= 3 and known.startswith(text.lower()):
            return number
    # Not int() alone, which accepts "1_0" and the digits of every script.
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise _not_understood(name, part)
    return int(text)


def _not_understood(name: str, part: str) -> InvalidCrontab:
    first, last = _BOUNDS[name]
    return InvalidCrontab(
        name,
        _(
            "“%(part)s” is not understood: use *, numbers from %(first)s to %(last)s, ranges (1-5), steps (*/2) and lists (1,3)."
        )
        % {"part": part, "first": first, "last": last},
    )


# --- Words -----------------------------------------------------------------------------------


# A page shows the same few again and again.
@lru_cache(maxsize=2_000)
def describe(crontab: Crontab, language: str) -> str:
    """Return the crontab as a sentence in the language ("en", "zh-hans"), with a 24-hour clock.

    Raises:
        InvalidCrontab: for a field that Celery refuses.
    """
    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = "zh_CN" if language.startswith("zh") else "en_US"
    plain = {name: _plain(name, getattr(crontab, name), crontab.matches[name]) for name in _BOUNDS}
    if plain["minute"] == "0":
        plain["hour"] = _on_the_hour(plain["hour"], crontab.matches["hour"])
    sentence = str(ExpressionDescriptor(" ".join(plain.values()), options).get_description())
    sentence = sentence.replace("Every 1 hours", "Every hour").replace("每 1 小时", "每小时")
    # The library leaves these words in the language of the process's locale.
    with translation.override(language):
        for number, month in dates.MONTHS.items():
            sentence = sentence.replace(calendar.month_name[number], str(month))
        for number, weekday in dates.WEEKDAYS.items():
            sentence = sentence.replace(calendar.day_name[number], str(weekday))
    return _as_written_in_chinese(sentence) if language.startswith("zh") else sentence


def _as_written_in_chinese(sentence: str) -> str:
    """Return the library's Chinese with Chinese punctuation, and without the spaces and prepositions of English."""
    for pattern, replacement in (
        (", 和 ", " 和 "),
        (r"(?<=\d), (?=\d)", "、"),
        (", ", "，"),
        ("仅在 ", "仅"),
        (r"(?<=[一-鿿]) (?=[一-鿿])", ""),
        (r"(^|，)在 ?(?=[\d每])", r"\1"),
    ):
        sentence = re.sub(pattern, replacement, sentence)
    return sentence


def _on_the_hour(hour: str, matches: tuple[int, ...]) -> str:
    """Return the hours so that each is said to have a slot: of "0 1-6" the library says "Between 01:00 and 06:59"."""
    if re.fullmatch(r"\d+-\d+", hour):
        return f"{hour}/1"
    return ",".join(map(str, matches)) if "-" in hour and "/" not in hour else hour


# A step with fewer matches than this is described by listing them: "*/20" of the day of month is days 1 and 21.
_STEP_MATCHES_MIN = 7


def _plain(name: str, text: str, matches: tuple[int, ...]) -> str:
    """Return the field if the library describes it correctly, else a list of its numbers.

    The library fails on full names, steps inside lists and steps of weekdays, and calls "*/50" every 50 minutes.
    """
    first, last = _BOUNDS[name]
    if len(matches) > last - first:
        return "*"
    text = text.lower()
    for known, number in _NAMES.get(name, {}).items():
        text = re.sub(rf"{known[:3]}[a-z]*", str(number), text)
    if re.fullmatch(r"[0-9,-]+", text):
        return text
    step = re.fullmatch(r"(\*|[0-9-]+)/([0-9]+)", text)
    if step and name not in _NAMES:
        is_even = step[1] == "*" and (last - first + 1) % int(step[2]) == 0
        if is_even or len(matches) >= _STEP_MATCHES_MIN:
            return text
    return ",".join(map(str, matches))
