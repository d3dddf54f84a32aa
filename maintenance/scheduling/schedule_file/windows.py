"""Maintenance windows in the file: how they are stored, and what a plan opens and closes.

A window has no name of its own in the database: in the file, its reason is its name.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Final

from django.utils import translation

from database import clock, zones
from maintenance.models import PlannedWindow
from maintenance.scheduling.planned_windows import InvalidWindow, Plan, drafted, scope_name
from maintenance.scheduling.schedule_file.entries import WEEKDAYS, WINDOWS, Entry, Fields, entry, scopes
from maintenance.scheduling.schedule_file.planning import Change
from maintenance.scheduling.schedule_file.planning import Plan as FilePlan

# The fields of the file for those of a window.
FIELDS: Final = {"starts_at": "starts", "ends_at": "ends", "from_time": "from", "to_time": "to"}


def stored_windows() -> dict[str, PlannedWindow]:
    """Return the windows that are open now or later, by their name in the file; a second one of a reason has a number.

    One of a group that is no longer declared holds nothing, so it is left out.
    """
    now, often = clock.now(), Counter[str]()
    found: dict[str, PlannedWindow] = {}
    for row in PlannedWindow.objects.planned().filter(scope__in=scopes().values()).order_by("pk"):
        if row.next_occurrence(now) is None:
            continue
        often[row.reason] += 1
        name = row.reason if often[row.reason] == 1 else f"{row.reason} ({often[row.reason]})"
        while name in found:
            name += "'"
        found[name] = row
    return found


def window_entry(name: str, row: PlannedWindow) -> Entry:
    """Return a window as the file has it."""
    scope = next(known for known, stored in scopes().items() if stored == row.scope)
    fields: Fields = {"scope": scope, "timezone": row.timezone}
    if row.is_weekly:
        fields |= {
            "weekdays": [WEEKDAYS[day] for day in sorted(row.days)],
            "from": _clock_time(row.from_time),
            "to": _clock_time(row.to_time),
        }
    else:
        fields |= {"starts": row.starts_at.astimezone(UTC), "ends": row.ends_at.astimezone(UTC)}
    return entry(WINDOWS, name, fields)


def _clock_time(at: time | None) -> str | None:
    return f"{at:%H:%M}" if at is not None else None


def plan_of(one: Entry) -> Plan:
    """Return when a window of the file is to be open.

    Raises:
        InvalidWindow: it is to happen once and every week.
    """
    days = one.value("weekdays")
    if days and (one.value("starts") or one.value("ends")):
        text = "a window of every week has weekdays, from and to; one that happens once has starts and ends."
        raise InvalidWindow("weekdays", text)
    return Plan(
        starts_at=one.value("starts"),
        ends_at=one.value("ends"),
        weekdays=frozenset(WEEKDAYS.index(day) for day in days),
        from_time=time.fromisoformat(one.value("from")) if one.value("from") else None,
        to_time=time.fromisoformat(one.value("to")) if one.value("to") else None,
        timezone=one.value("timezone"),
    )


def drafted_from(one: Entry) -> PlannedWindow:
    """Return the (unsaved) window of the file.

    Raises:
        InvalidWindow: with the field of a window; ``FIELDS`` has those of the file.
    """
    return drafted(plan_of(one), scope=scopes().get(one.value("scope"), "?"), reason=one.key)


@translation.override("en")
def lines(plan: FilePlan) -> list[str]:
    """Return a line for each window of the plan that opens or goes, in English."""
    changes = [change for change in plan.changes if change.entry.section == WINDOWS]
    rows = stored_windows() if changes else {}
    return [line for change in changes for line in _lines(change, rows.get(change.entry.key))]


def _lines(change: Change, before: PlannedWindow | None) -> Iterator[str]:
    name, now = change.entry.key, clock.now()
    if before is not None and (span := before.next_occurrence(now)) is not None:
        if span[0] <= now:
            yield f"{name}: is open until {_at(span[1], before)}; closes at once."
        else:
            yield f"{name}: does not open at {_at(span[0], before)} any more."
    if change.before is None or change.entry is not change.before:
        row = drafted_from(change.entry)
        start, end = row.next_occurrence(now) or (row.starts_at, row.ends_at)
        repeats = ", and so every week" if row.is_weekly else ""
        opens = "opens at once" if start <= now else f"opens at {_at(start, row)}"
        yield f"{name}: {opens} until {_at(end, row)}{repeats}, for {scope_name(row.scope)}."


def _at(moment: datetime, row: PlannedWindow) -> str:
    return f"{moment.astimezone(zones.find(row.timezone)):%Y-%m-%d %H:%M} {row.timezone}"
