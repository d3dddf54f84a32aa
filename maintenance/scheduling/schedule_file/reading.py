"""Reads the file: YAML whose every field keeps its line, for errors that say where and what to do."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from django.conf import settings
from django.utils.dateparse import parse_datetime

from database.names import folded
from maintenance.scheduling.schedule_file.entries import (
    DEFAULTS,
    KEYS,
    MESSAGE,
    PAUSES,
    RETENTIONS,
    SCHEDULES,
    WEEKDAYS,
    WINDOWS,
    BadFile,
    Document,
    Entry,
    Fields,
    Problem,
    comparable,
)
from maintenance.scheduling.time_rows import UNITS, in_units

VERSION = 1
SIZE_MAX = 10_000_000
SINGULAR = {SCHEDULES: "schedule", RETENTIONS: "retention", PAUSES: "pause", WINDOWS: "window"}


class Wrong(ValueError):
    """A value that cannot be used; the message says what to write."""


def read(text: str, *, now: datetime) -> Document:
    """Return the file's entries. Pauses and windows that have ended by ``now`` are none any more.

    Raises:
        BadFile: with the line of each problem.
    """
    reader = _Reader(now)
    document = reader.document(_root(text))
    if reader.problems:
        raise BadFile(reader.problems)
    return document


class _Loader(yaml.SafeLoader):
    """YAML without references: a few of them can stand for billions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            text = (
                f"a * begins a reference, which is not used here: put the value in quotes (*{event.anchor} …)"
            )
            raise yaml.MarkedYAMLError(problem=text, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def _root(text: str) -> yaml.Node | None:
    if len(text) > SIZE_MAX:
        raise BadFile([Problem(1, "file", f"it is longer than {SIZE_MAX:,} characters: divide it.")])
    try:
        loader = _Loader(text)
        root: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        remedy = ": put the value in quotes" if "alias" in (error.context or "") else ""
        raise BadFile([Problem(line, "YAML", f"{error.problem or error}{remedy}.")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadFile([Problem(line, "YAML", "a character that no text has: delete it.")]) from None
    except RecursionError:
        raise BadFile([Problem(1, "YAML", "it is nested too deeply.")]) from None
    return root


def plain(node: yaml.Node) -> Any:
    """Return the node's value.

    Raises:
        Wrong: it has no value that this console stores.
    """
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        raise Wrong("this is no value: put a text in quotes.") from None


class _Reader:
    """Walks the nodes, and collects what is wrong."""

    def __init__(self, now: datetime) -> None:
        self.problems: list[Problem] = []
        self._now = now

    def document(self, root: yaml.Node | None) -> Document:
        found: Document = {}
        if root is None or not isinstance(root, yaml.MappingNode):
            self._note(root, "file", f"it has no sections: begin with version: {VERSION}.")
            return found
        version = None
        for name, node in self._pairs(root, "file"):
            if name == "version":
                version = node.value
            elif name in KEYS:
                found[name] = self._section(name, node)
            else:
                self._note(node, name, f"there is no such section: write one of {', '.join(KEYS)}.")
        if version != str(VERSION):
            self._note(root, "version", f"this console reads version {VERSION}: write version: {VERSION}.")
        return found

    def _section(self, section: str, node: yaml.Node) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        if not isinstance(node, yaml.SequenceNode):
            self._note(node, section, "it is no list: begin each entry with a dash, or write [] for none.")
            return entries
        for item in node.value:
            found = self._entry(section, item)
            if found is None:
                continue
            if found.key in entries:
                text = f"it stands on line {entries[found.key].line} too: delete one, or rename it."
                self._note(item, f"{SINGULAR[section]} “{found.key}”", text)
            entries[found.key] = found
        return entries

    def _entry(self, section: str, node: yaml.Node) -> Entry | None:
        where, key_name = SINGULAR[section], KEYS[section]
        if not isinstance(node, yaml.MappingNode):
            self._note(node, where, f"it has no fields: begin it with - {key_name}: …")
            return None
        nodes = dict(self._pairs(node, where))
        key = nodes.pop(key_name, None)
        if key is None:
            self._note(node, where, f"it has no {key_name}: add {key_name}: …")
            return None
        try:
            name = _text(plain(key))
        except Wrong as error:
            self._note(key, f"{where}, {key_name}", str(error))
            return None
        where = f"{where} “{name}”"
        fields: Fields = {}
        for field, value in nodes.items():
            if field not in DEFAULTS[section]:
                known = ", ".join([key_name, *DEFAULTS[section]])
                self._note(value, f"{where}, {field}", f"there is no such field; there are {known}.")
                continue
            try:
                fields[field] = _READERS[section][field](plain(value))
            except Wrong as error:
                self._note(value, f"{where}, {field}", str(error))
        lines = {field: value.start_mark.line + 1 for field, value in nodes.items()}
        over = {PAUSES: "until", WINDOWS: "ends"}.get(section)
        if over is not None and self._has_ended(fields, over):
            return None
        return Entry(section, name, self._settled(section, fields), node.start_mark.line + 1, lines)

    def _has_ended(self, pause: Fields | None, name: str = "until") -> bool:
        until = (pause or {}).get(name)
        return until is not None and until <= self._now

    def _settled(self, section: str, fields: Fields) -> Fields:
        """Return the fields in their only form: without defaults and pauses that have ended."""
        if self._has_ended(fields.get("paused")):
            del fields["paused"]
        if fields.get("crontab") is not None or section == WINDOWS:
            fields.setdefault("timezone", settings.TIME_ZONE)
        if fields.get("once") is not None:
            fields["one_off"] = True
        defaults = DEFAULTS[section]
        return {
            name: value for name, value in fields.items() if comparable(value) != comparable(defaults[name])
        }

    def _pairs(self, node: yaml.MappingNode, where: str) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                self._note(key, f"{where}, {name}", f"it stands on line {seen[name]} too: delete one.")
            seen[name] = key.start_mark.line + 1
            yield name, value

    def _note(self, node: yaml.Node | None, where: str, text: str) -> None:
        self.problems.append(Problem(node.start_mark.line + 1 if node else 1, where, text))


# --- Values ----------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong("this is no text: put it in quotes.")
    # No database stores NUL, and half a surrogate pair is no character.
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Wrong("this has a character that no database stores: delete it.")
    return value


def _crontab(value: Any) -> str:
    return " ".join(_text(value).split())


def _every(value: Any) -> str:
    return "{} {}".format(*in_units(length_of(_text(value))))


def length_of(text: str) -> timedelta:
    """Return the length of an interval such as "90 minutes"."""
    found = re.fullmatch(r"([0-9]{1,18}) *([a-z]+?)s?", text.strip().lower())
    unit = f"{found[2]}s" if found else ""
    if not found or unit not in UNITS:
        raise Wrong(f"write a number and one of {', '.join(UNITS)}, such as 90 minutes.")
    try:
        return int(found[1]) * UNITS[unit]
    except OverflowError:
        raise Wrong("this interval is too long.") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("write true or false.")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise Wrong("write a whole number.")
    return value


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = parse_datetime(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Wrong("write a time with its offset, such as 2026-12-01 03:00:00+00:00.")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Wrong("this time is out of range.") from None


def _mapping(value: Any, readers: Mapping[str, Callable[[Any], Any]], needed: tuple[str, ...]) -> Fields:
    if not isinstance(value, dict) or not value.keys() <= readers.keys() or not set(needed) <= value.keys():
        raise Wrong(f"write {', '.join(f'{name}: …' for name in readers)}, one per line, indented.")
    return {name: readers[name](part) for name, part in value.items()}


def _paused(value: Any) -> Fields:
    found = _mapping(value, {"reason": _text, "until": _moment}, ("reason",))
    if not found["reason"].strip():
        raise Wrong("say why: the reason is empty.")
    return found


def _sun(value: Any) -> Fields:
    readers = {"event": _text, "latitude": _degrees, "longitude": _degrees}
    return _mapping(value, readers, tuple(readers))


def _degrees(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong("write latitude and longitude in degrees, such as 52.52.")
    return float(value)


def _message(value: Any) -> Fields:
    readers = {name: _number if name in ("priority", "expire_seconds") else _text for name in MESSAGE}
    return _mapping(value, readers, ())


def _parameters(value: Any) -> Any:
    """Accept what a JSON object can hold, or a text that another tool has stored."""
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, dict):
        raise Wrong("write the parameters as name: value, one per line, indented.")
    return _json(value)


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(name): _json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_json(part) for part in value]
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise Wrong("this is no value of JSON: put it in quotes.")


def _overrides(value: Any) -> list[Fields]:
    if not isinstance(value, list):
        raise Wrong("write a list: - subreddit: … or - bot: … with owner: …, and days: …")
    found = []
    for item in value:
        readers = {"subreddit": _text, "bot": _text, "owner": _text, "days": _number}
        one = _mapping(item, readers, ("days",))
        if one.keys() == {"subreddit", "days"} and one["subreddit"]:
            one["subreddit"] = folded(one["subreddit"])
        elif one.keys() != {"bot", "owner", "days"}:
            raise Wrong("an override has subreddit and days, or bot, owner and days.")
        found.append(one)
    return in_order(found)


def in_order(overrides: list[Fields]) -> list[Fields]:
    """Return overrides in their only order."""
    return sorted(overrides, key=lambda one: [one.get(name, "") for name in ("subreddit", "owner", "bot")])


def _weekdays(value: Any) -> list[str]:
    days = [str(day).lower() for day in value] if isinstance(value, list) else []
    if not days or not set(days) <= set(WEEKDAYS):
        raise Wrong(f"write a list of {', '.join(WEEKDAYS)}.")
    return sorted({*days}, key=WEEKDAYS.index)


def _clock_time(value: Any) -> str:
    # YAML takes 23:00 without quotes for a number of base 60.
    minutes = value if type(value) is int else None
    if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", value.strip())):
        minutes = int(found[1]) * 60 + int(found[2]) if int(found[2]) < 60 else None
    if minutes is None or not 0 <= minutes < 24 * 60:
        raise Wrong("write a time of day, such as 01:30.")
    return f"{minutes // 60:02}:{minutes % 60:02}"


_READERS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    SCHEDULES: {
        **dict.fromkeys(("job", "task", "description", "timezone"), _text),
        **dict.fromkeys(("missed_slots", "overlap", "not_on_holidays_of"), _text),
        **dict.fromkeys(("crontab", "default"), _crontab),
        **dict.fromkeys(("once", "start", "expires"), _moment),
        **dict.fromkeys(("one_off", "has_run", "catch_up_after_pause", "nor_on_weekends"), _flag),
        "every": _every,
        "sun": _sun,
        "parameters": _parameters,
        **dict.fromkeys(("catch_up_at_most", "catch_up_hours", "retries"), _number),
        **dict.fromkeys(("time_limit_seconds", "pause_after_failures"), _number),
        "paused": _paused,
        "message": _message,
    },
    RETENTIONS: {"days": _number, "keep_live_threads": _flag, "overrides": _overrides},
    PAUSES: {"reason": _text, "until": _moment},
    WINDOWS: {
        **dict.fromkeys(("scope", "timezone"), _text),
        "weekdays": _weekdays,
        **dict.fromkeys(("from", "to"), _clock_time),
        **dict.fromkeys(("starts", "ends"), _moment),
    },
}
