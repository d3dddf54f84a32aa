"""Compares the file with what is stored: what would be created, changed and deleted."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import yaml

from maintenance.scheduling.schedule_file.entries import KEYS, RETENTIONS, Document, Entry, comparable

SHOWN_MAX = 200
CHECKSUM_DIGITS = 12


class Kind(StrEnum):
    """What happens to an entry; the value is its mark in a plan."""

    CREATED = "+"
    CHANGED = "~"
    DELETED = "-"


@dataclass(frozen=True)
class Change:
    """What happens to one entry."""

    kind: Kind
    # As the file has it; as it is stored, if it is deleted.
    entry: Entry
    # As it is stored; None: it is created.
    before: Entry | None
    # The fields that change; all that are set, if it is created.
    fields: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the change in words, a line for each field."""
        yield f"  {self.kind} {self.entry.key}"
        for name in self.fields:
            after = _shown(self.entry.value(name))
            before = "" if self.before is None else f"{_shown(self.before.value(name))} → "
            yield f"      {name}: {before}{after}"


@dataclass(frozen=True)
class Plan:
    """Everything that happens, in the order of the sections."""

    changes: tuple[Change, ...]
    # What the file does not have, and stays as it is.
    left: tuple[Entry, ...]

    def lines(self) -> Iterator[str]:
        """Yield the plan in words."""
        for section in KEYS:
            of_section = [change for change in self.changes if change.entry.section == section]
            if of_section:
                yield f"{section}:"
            for change in of_section:
                yield from change.lines()
        for section in KEYS:
            names = ", ".join(entry.key for entry in self.left if entry.section == section)
            if names:
                remedy = "none is ever deleted" if section == RETENTIONS else "--prune ends or deletes them"
                yield f"{section} that are not in the file, left as they are ({remedy}): {names}"

    @property
    def checksum(self) -> str:
        """A text that is the same for plans that do the same, from the same state of what they change."""
        told = [
            [change.kind, change.entry.section, change.entry.key]
            + [
                [name, change.entry.value(name), change.before and change.before.value(name)]
                for name in change.fields
            ]
            for change in self.changes
        ]
        return hashlib.sha256(comparable(told).encode()).hexdigest()[:CHECKSUM_DIGITS]

    def count(self, kind: Kind) -> int:
        """Return how many entries this happens to."""
        return sum(change.kind is kind for change in self.changes)


def make_plan(wanted: Document, stored: Document, *, prune: bool) -> Plan:
    """Return what turns what is stored into what is wanted. A section that the file does not have stays as it is."""
    changes: list[Change] = []
    left: list[Entry] = []
    for section in KEYS:
        if section not in wanted:
            continue
        for key, entry in wanted[section].items():
            before = stored[section].get(key)
            if before is None:
                changes.append(Change(Kind.CREATED, entry, None, tuple(entry.fields)))
            elif fields := entry.differing(before):
                changes.append(Change(Kind.CHANGED, entry, before, tuple(fields)))
        missing = [entry for key, entry in stored[section].items() if key not in wanted[section]]
        if prune and section != RETENTIONS:
            changes += [Change(Kind.DELETED, entry, entry) for entry in missing]
        else:
            left += missing
    return Plan(tuple(changes), tuple(left))


def _shown(value: Any) -> str:
    match value:
        case None | "" | [] | {}:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case list() | dict():
            text = yaml.safe_dump(
                value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False
            )
            return _short(text)
        case _:
            return _short(str(value))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
