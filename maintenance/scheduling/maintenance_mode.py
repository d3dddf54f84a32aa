"""The global switch: while maintenance mode is on, nothing scheduled starts; manual runs still may.

Beat writes no runs, queued scheduled ones are not claimed. Slots that pass meanwhile are written down by the first
tick after it, one SKIPPED row a schedule.
"""

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_noop

from audit import words
from audit.events import record
from database import clock
from database.ends import refuse_end
from database.messages import gettext as _
from maintenance.models import MaintenanceMode, ScheduleControl
from maintenance.registry import Person

PERMISSION = "maintenance.change_maintenancemode"
STARTED, ENDED = "maintenance_mode.started", "maintenance_mode.ended"
words.register(
    {
        STARTED: gettext_noop("switched maintenance mode on, or changed it"),
        ENDED: gettext_noop("ended maintenance mode"),
    }
)


def current() -> MaintenanceMode:
    """Return the switch as it is; unsaved and off where it was never used."""
    return MaintenanceMode.objects.select_related("started_by").filter(
        pk=MaintenanceMode.ROW
    ).first() or MaintenanceMode(pk=MaintenanceMode.ROW)


def is_on() -> bool:
    """Whether nothing scheduled may start now."""
    return MaintenanceMode.objects.on().exists()


def start(*, by: Person | None, reason: str, until: datetime | None = None) -> MaintenanceMode:
    """Switch it on, until ``until`` or until somebody ends it; while it is on, change the reason and the end.

    Raises:
        PermissionDenied; ValueError when the reason is empty, or ``until`` is past or absurd.
    """
    _permit(by)
    if not reason.strip():
        raise ValueError(_("Say why nothing shall start."))
    refuse_end(until)
    with transaction.atomic():
        mode = _locked()
        before = _state(mode)
        if not mode.is_on:
            if not _has_open_books(mode):
                mode.started_at = clock.database_now()  # by which beat ticks
            mode.ended_at = None
        mode.started_by_id = by.pk if by else None
        mode.reason, mode.until = reason.strip()[:500], until
        mode.save()
        record(STARTED, mode, by=by, before=before, after=_state(mode), reason=mode.reason)
    return mode


def end(*, by: Person | None, reason: str = "") -> None:
    """Switch it off; does nothing when it is off.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    with transaction.atomic():
        mode = _locked()
        if mode.is_on:
            _end(mode, at=clock.database_now(), by=by, reason=reason)


def end_when_due(now: datetime) -> bool:
    """Switch it off where its end has come; return whether it had."""
    if not MaintenanceMode.objects.on().filter(until__lte=now).exists():
        return False
    with transaction.atomic():
        mode = _locked()
        if mode.is_on and mode.until is not None and mode.until <= now:
            # At its end, whenever that is noticed: a slot behind it is not part of it.
            _end(mode, at=mode.until, by=None, reason=_("Its time was over."))
    return True


def _end(mode: MaintenanceMode, *, at: datetime, by: Person | None, reason: str) -> None:
    before = _state(mode)
    assert mode.started_at is not None
    mode.ended_at = max(at, mode.started_at)  # the clock may have been set back
    mode.save()
    record(ENDED, mode, by=by, before=before, after=_state(mode), reason=reason)


def _has_open_books(mode: MaintenanceMode) -> bool:
    """Whether slots of the period before still wait for the tick that writes them down: the two become one."""
    return (
        mode.ended_at is not None and ScheduleControl.objects.filter(next_slot_at__lte=mode.ended_at).exists()
    )


def _locked() -> MaintenanceMode:
    MaintenanceMode.objects.get_or_create(pk=MaintenanceMode.ROW)
    return MaintenanceMode.objects.select_for_update().get(pk=MaintenanceMode.ROW)


def _state(mode: MaintenanceMode) -> dict[str, Any]:
    return {
        "on": mode.is_on,
        "reason": mode.reason if mode.is_on else "",
        "until": mode.until.isoformat() if mode.is_on and mode.until else None,
    }


def _permit(by: Person | None) -> None:
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not switch maintenance mode."))
