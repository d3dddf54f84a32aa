"""Maintenance windows that are planned in advance: plan one, end its occurrence early, delete it.

A window holds what a switch would hold: with the scope of all, nothing scheduled starts; with that of a group, none of
its runs. Nothing has to happen at its beginning or end: whoever asks computes whether it is open. So a scheduler that was
dead at that moment still knows which slots it held.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.utils.dates import WEEKDAYS
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop

from audit import values, words
from audit.events import record
from database import clock, zones
from database.ends import refuse_end
from database.locks import locked
from database.messages import gettext as _
from maintenance.models import PlannedWindow, ScheduleControl
from maintenance.models.groups import get_group, group_title
from maintenance.models.maintenance_mode import ALL
from maintenance.registry import Person
from maintenance.scheduling.maintenance_mode import permit

PLANNED, CUT, DELETED = "planned_window.planned", "planned_window.ended", "planned_window.deleted"
words.register(
    {
        PLANNED: gettext_noop("planned a maintenance window"),
        CUT: gettext_noop("ended a maintenance window early"),
        DELETED: gettext_noop("deleted a maintenance window"),
    }
)


def scope_name(scope: str) -> str:
    """Return what a window of this scope holds, in the reader's language."""
    return gettext("all schedules") if scope in (ALL, "all") else group_title(scope)


def weekday_names(digits: str) -> str:
    """Return the weekdays on which a window begins, from their digits, Monday 0."""
    return ", ".join(capfirst(str(WEEKDAYS.get(int(digit), digit))) for digit in sorted(str(digits)))


values.register("maintenance.PlannedWindow", {"scope": scope_name, "weekdays": weekday_names})
# A longer one is a typing error: a switch without an end says what is meant.
LONGEST = timedelta(days=92)


@dataclass(frozen=True)
class Plan:
    """When a window is to be open: once, or every week."""

    # Once.
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    # Every week on these days (Monday 0), at wall-clock times; an end that is not later is on the next day.
    weekdays: frozenset[int] = frozenset()
    from_time: time | None = None
    to_time: time | None = None
    timezone: str = "UTC"


class InvalidWindow(ValueError):
    """The window cannot be planned; ``field`` is that of the form."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def drafted(plan: Plan, *, scope: str = ALL, reason: str = "") -> PlannedWindow:
    """Return the (unsaved) window of a plan.

    Raises:
        InvalidWindow: it never opens, is over, or there is no such group or time zone.
    """
    if scope != ALL and get_group(scope) is None:
        raise InvalidWindow("scope", _("There is no such group of jobs."))
    if zones.find(plan.timezone) is None:
        raise InvalidWindow("timezone", _("This host knows no such time zone: choose another."))
    row = PlannedWindow(
        scope=scope, reason=reason.strip()[:500], timezone=plan.timezone, planned_at=clock.database_now()
    )
    if plan.weekdays:
        row.weekdays = "".join(str(day) for day in sorted(plan.weekdays))
        row.from_time, row.to_time = plan.from_time, plan.to_time
        if row.from_time is None or row.to_time is None:
            raise InvalidWindow("from_time", _("Say from when to when."))
        if not row.show_next(after=row.planned_at):
            raise InvalidWindow("from_time", _("These times never come: choose others."))
        return row
    _once(row, plan)
    return row


def _once(row: PlannedWindow, plan: Plan) -> None:
    if plan.starts_at is None or plan.ends_at is None:
        raise InvalidWindow("starts_at", _("Say from when to when."))
    if plan.ends_at <= plan.starts_at:
        raise InvalidWindow("ends_at", _("The end is not after the beginning."))
    try:
        refuse_end(plan.ends_at)
    except ValueError as error:
        raise InvalidWindow("ends_at", str(error)) from None
    if plan.ends_at - plan.starts_at > LONGEST:
        text = _("It is longer than %(days)s days: use maintenance mode, or a pause, for that.")
        raise InvalidWindow("ends_at", text % {"days": LONGEST.days})
    row.starts_at, row.ends_at = plan.starts_at, plan.ends_at


def plan_window(plan: Plan, *, by: Person | None, reason: str, scope: str = ALL) -> PlannedWindow:
    """Plan a window; it holds nothing before this moment.

    Raises:
        PermissionDenied; InvalidWindow.
    """
    permit(by)
    if not reason.strip():
        raise InvalidWindow("reason", _("Say why nothing shall start."))
    row = drafted(plan, scope=scope, reason=reason)
    row.planned_by_id = by.pk if by else None
    with transaction.atomic():
        row.save()
        record(PLANNED, row, by=by, after=state_of(row), reason=row.reason)
    return row


def end_now(row: PlannedWindow, *, by: Person | None, reason: str = "") -> bool:
    """End the occurrence that is open now; a weekly window opens again at its next one. False: none is open.

    Raises:
        PermissionDenied.
    """
    permit(by)
    with transaction.atomic():
        row = locked(row)
        now = clock.database_now()
        occurrence = row.occurrence_at(now)
        if row.ended_at is not None or occurrence is None:
            return False
        before = state_of(row)
        _look_again(occurrence[1], now)
        row.cut(now)
        row.save()
        record(CUT, row, by=by, before=before, after=state_of(row), reason=reason)
    return True


def delete_window(row: PlannedWindow, *, by: Person | None, reason: str = "") -> None:
    """Let the window hold nothing any more; slots that it has held so far stay held. Does nothing to one that is over.

    Raises:
        PermissionDenied.
    """
    permit(by)
    with transaction.atomic():
        row = locked(row)
        if row.ended_at is not None:
            return
        now = clock.database_now()
        before = state_of(row)
        if (occurrence := row.occurrence_at(now)) is not None:
            _look_again(occurrence[1], now)
        row.ended_at = now
        row.save(update_fields=["ended_at"])
        record(DELETED, row, by=by, before=before, reason=reason)


def _look_again(end: datetime, now: datetime) -> None:
    """Let the next tick look at the schedules that it has put off until the end of the window."""
    ScheduleControl.objects.filter(next_slot_at=end).update(next_slot_at=now)


def state_of(row: PlannedWindow) -> dict[str, Any]:
    """Return a window as the events have it, with its present or next occurrence."""
    start, end = row.next_occurrence(clock.now()) or (row.starts_at, row.ends_at)
    state = {
        "scope": row.scope or "all",
        "reason": row.reason,
        "starts": start.isoformat(),
        "ends": end.isoformat(),
    }
    if row.is_weekly:
        state |= {
            "weekdays": row.weekdays,
            "from": f"{row.from_time:%H:%M}",
            "to": f"{row.to_time:%H:%M}",
            "timezone": row.timezone,
        }
    return state
