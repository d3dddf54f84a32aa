"""The switches over many schedules: maintenance mode stops all of them, the pause of scraping a group of jobs.

While maintenance mode is on, nothing scheduled starts; manual runs still may. While a group is paused, none of its
runs starts, and a request for one is refused with the reason; running ones continue. Beat writes no runs, and queued
runs are not claimed. The first tick after it records the slots that passed meanwhile, one SKIPPED row per schedule.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from audit import words
from audit.events import record
from database import clock
from database.ends import refuse_end
from database.messages import gettext as _
from maintenance.models import MaintenanceMode, ScheduleControl, Window
from maintenance.registry import Person, jobs

PERMISSION = "maintenance.change_maintenancemode"
ALL, SCRAPING = MaintenanceMode.Scope.ALL, MaintenanceMode.Scope.SCRAPING
STARTED, ENDED = "maintenance_mode.started", "maintenance_mode.ended"
words.register(
    {
        STARTED: gettext_noop("switched it on, or changed it"),
        ENDED: gettext_noop("switched it off"),
    }
)


def current(scope: str = ALL) -> MaintenanceMode:
    """Return the switch's current state; an unsaved one that is off if it was never used."""
    row = MaintenanceMode.ROWS[MaintenanceMode.Scope(scope)]
    found = MaintenanceMode.objects.select_related("started_by").filter(pk=row).first()
    return found or MaintenanceMode(pk=row, scope=scope)


class Modes:
    """The state of all switches at one moment."""

    def __init__(self, modes: Iterable[MaintenanceMode] | None = None) -> None:
        self._modes = list(MaintenanceMode.objects.order_by("pk") if modes is None else modes)

    @property
    def on(self) -> list[MaintenanceMode]:
        """Those that are on."""
        return [mode for mode in self._modes if mode.is_on]

    @property
    def of_all(self) -> MaintenanceMode:
        """The switch over all schedules; unsaved and off where it was never used."""
        return next((mode for mode in self._modes if mode.scope == ALL), None) or MaintenanceMode()

    def is_on(self, scope: str) -> bool:
        """Whether the switch of exactly this scope is on."""
        return any(mode.is_on and mode.scope == scope for mode in self._modes)

    def window_of(self, group: str) -> Window:
        """Return the latest periods of the switches that apply to jobs of this group."""
        return Window([mode for mode in self._modes if mode.holds(group)])

    @property
    def task_names_held(self) -> list[str]:
        """The tasks of the jobs whose group is paused now."""
        return [job.task_name for job in jobs() if job.group and self.is_on(job.group)]


def modes_for(request: HttpRequest) -> Modes:
    """Return all switches as they were when this request first asked."""
    kept = vars(request)
    if "maintenance_modes" not in kept:
        kept["maintenance_modes"] = Modes()
    modes: Modes = kept["maintenance_modes"]
    return modes


def is_on(scope: str = ALL) -> bool:
    """Whether the switch of this scope is on; with the scope of all, nothing scheduled may start now."""
    return MaintenanceMode.objects.on().filter(scope=scope).exists()


def start(
    *, by: Person | None, reason: str, until: datetime | None = None, scope: str = ALL
) -> MaintenanceMode:
    """Switch it on, until ``until`` or until somebody ends it; if it is on, change its reason and end.

    Raises:
        PermissionDenied; ValueError when the reason is empty, or ``until`` is past or absurd.
    """
    _permit(by)
    if not reason.strip():
        raise ValueError(_("Say why nothing shall start."))
    refuse_end(until)
    with transaction.atomic():
        mode = _locked(scope)
        before = _state(mode)
        if not mode.is_on:
            if not _has_slots_to_record(mode):
                mode.started_at = clock.database_now()  # beat uses the same clock
            mode.ended_at = None
        mode.started_by_id = by.pk if by else None
        mode.reason, mode.until = reason.strip()[:500], until
        mode.save()
        record(STARTED, mode, by=by, before=before, after=_state(mode), reason=mode.reason)
    return mode


def end(*, by: Person | None, reason: str = "", scope: str = ALL) -> None:
    """Switch it off; does nothing when it is off.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    with transaction.atomic():
        mode = _locked(scope)
        if mode.is_on:
            _end(mode, at=clock.database_now(), by=by, reason=reason)


def end_when_due(now: datetime) -> bool:
    """Switch off the switches whose end has come; return whether there were any."""
    over = list(MaintenanceMode.objects.on().filter(until__lte=now).values_list("scope", flat=True))
    for scope in over:
        with transaction.atomic():
            mode = _locked(scope)
            if mode.is_on and mode.until is not None and mode.until <= now:
                # Its end counts, not the moment at which that is noticed: a later slot is not part of the period.
                _end(mode, at=mode.until, by=None, reason=_("Its time was over."))
    return bool(over)


def _end(mode: MaintenanceMode, *, at: datetime, by: Person | None, reason: str) -> None:
    before = _state(mode)
    assert mode.started_at is not None
    mode.ended_at = max(at, mode.started_at)  # the clock may have been set back
    mode.save()
    record(ENDED, mode, by=by, before=before, after=_state(mode), reason=reason)


def _has_slots_to_record(mode: MaintenanceMode) -> bool:
    """Whether slots of the previous period are not recorded yet: then the two periods become one."""
    if mode.ended_at is None:
        return False
    waiting = ScheduleControl.objects.filter(next_slot_at__lte=mode.ended_at)
    if mode.scope != ALL:
        names = [job.task_name for job in jobs() if job.group == mode.scope]
        waiting = waiting.filter(schedule__task__in=names)
    return waiting.exists()


def _locked(scope: str) -> MaintenanceMode:
    row = MaintenanceMode.ROWS[MaintenanceMode.Scope(scope)]
    MaintenanceMode.objects.get_or_create(pk=row, defaults={"scope": scope})
    return MaintenanceMode.objects.select_for_update().get(pk=row)


def _state(mode: MaintenanceMode) -> dict[str, Any]:
    return {
        "on": mode.is_on,
        "reason": mode.reason if mode.is_on else "",
        "until": mode.until.isoformat() if mode.is_on and mode.until else None,
    }


def _permit(by: Person | None) -> None:
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not switch maintenance mode, nor pause scraping."))
