"""What the file has: its sections, the fields of each entry, and their defaults.

An entry is a dictionary by field that has only values other than the default. Moments are in UTC.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from maintenance.models.groups import groups
from maintenance.models.maintenance_mode import ALL

Fields = dict[str, Any]

SCHEDULES, RETENTIONS, PAUSES, WINDOWS = "schedules", "retentions", "pauses", "windows"
# The field that names an entry, by section.
KEYS: Final = {SCHEDULES: "name", RETENTIONS: "job", PAUSES: "scope", WINDOWS: "reason"}
# The kinds of time, of which a schedule has exactly one.
KINDS: Final = ("crontab", "every", "once", "sun")
# The weekdays of a maintenance window, Monday first, as in the database.
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# The name of the scope of all schedules in the file; the others are groups of jobs.
ALL_SCHEDULES: Final = "all"
# The columns of a message, which only a task that is no job of this console has.
MESSAGE: Final = ("queue", "exchange", "routing_key", "priority", "headers", "expire_seconds", "args")
# The columns of a control, by field.
POLICIES: Final = {
    "missed_slots": "misfire_policy",
    "catch_up_at_most": "misfire_limit",
    "catch_up_after_pause": "catch_up_after_pause",
    "catch_up_hours": "catch_up_hours",
    "not_on_holidays_of": "days_off",
    "nor_on_weekends": "days_off_weekends",
    "overlap": "overlap_policy",
    "retries": "retries",
    "time_limit_seconds": "time_limit_seconds",
    "pause_after_failures": "pause_after_failures",
}
# The fields of each section in the order in which they are written, with their defaults.
DEFAULTS: Final[Mapping[str, Fields]] = {
    SCHEDULES: {
        "job": None,
        "task": None,
        "description": "",
        "crontab": None,
        "timezone": None,
        "every": None,
        "once": None,
        "sun": None,
        "start": None,
        "expires": None,
        "one_off": False,
        "has_run": False,
        "parameters": {},
        "missed_slots": "run_once",
        "catch_up_at_most": 10,
        "catch_up_after_pause": False,
        "catch_up_hours": None,
        "not_on_holidays_of": "",
        "nor_on_weekends": False,
        "overlap": "skip",
        "retries": None,
        "time_limit_seconds": None,
        "pause_after_failures": None,
        "paused": None,
        "default": "",
        "message": {},
    },
    RETENTIONS: {"days": None, "keep_live_threads": False, "overrides": []},
    PAUSES: {"reason": "", "until": None},
    WINDOWS: {
        "scope": ALL_SCHEDULES,
        "weekdays": [],
        "from": None,
        "to": None,
        "starts": None,
        "ends": None,
        "timezone": None,
    },
}


@dataclass(frozen=True)
class Entry:
    """One schedule, retention, pause or maintenance window."""

    section: str
    key: str
    fields: Fields
    # Where it stands in the file, and each of its fields; 0: it is not from a file.
    line: int = 0
    lines: Mapping[str, int] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """Return the field's value, or its default."""
        return self.fields.get(name, DEFAULTS[self.section][name])

    def line_of(self, name: str) -> int:
        """Return the line of a field; that of the entry if it does not have the field."""
        return self.lines.get(name, self.line)

    def differing(self, other: "Entry") -> list[str]:
        """Return the names of the fields whose values differ."""
        names = DEFAULTS[self.section]
        return [name for name in names if comparable(self.value(name)) != comparable(other.value(name))]


def scopes() -> dict[str, str]:
    """Return what pauses stand for in the database, by their name in the file."""
    return {ALL_SCHEDULES: ALL, **{group.slug: group.slug for group in groups()}}


# By section, and by key within it; a section that the file does not have is missing.
Document = dict[str, dict[str, Entry]]


def entry(section: str, key: str, fields: Fields) -> Entry:
    """Return an entry that is not from a file; values that are the default are left out."""
    defaults = DEFAULTS[section]
    kept = {name: value for name, value in fields.items() if comparable(value) != comparable(defaults[name])}
    return Entry(section, key, kept)


def comparable(value: Any) -> str:
    """Return a text that is the same for equal values; NaN is equal to itself, and true is not 1."""
    return json.dumps(value, sort_keys=True, default=_as_text)


def _as_text(value: datetime) -> str:
    return value.isoformat()


@dataclass(frozen=True)
class Problem:
    """What is wrong in the file, where, and what to do."""

    line: int
    # Such as "schedule “Purge”, crontab".
    where: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.where}: {self.text}"


class BadFile(ValueError):
    """The file cannot be applied; nothing was changed."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = sorted(problems, key=lambda problem: problem.line)
