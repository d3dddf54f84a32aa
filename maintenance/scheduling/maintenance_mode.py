"""The switches over many schedules: maintenance mode stops all of them, the pause of scraping a group of jobs.

While maintenance mode is on, nothing scheduled starts; manual runs still may. While a group is paused, none of its
runs starts, and a request for one is refused with the reason; running ones continue. Beat writes no runs, and queued
runs are not claimed. The first tick after it records the slots that passed meanwhile, one SKIPPED row per schedule.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max, Q
from django.http import HttpRequest
from django.utils.translation import gettext_noop
from django_celery_beat.models import PeriodicTask

from audit import words
from audit.events import record
from database import clock, zones
from database.ends import refuse_end
from database.messages import gettext as _
from maintenance.models import MaintenanceMode, PlannedWindow, ScheduleControl
from maintenance.models.groups import get_group
from maintenance.models.maintenance_mode import ALL as ALL
from maintenance.models.planned_windows import REMEMBERED
from maintenance.registry import Person, jobs
from maintenance.scheduling.holds import DaysOff, Holds, Period, Source, Switch, Window
from maintenance.scheduling.schedules import control_or_default
from maintenance.scheduling.targets import group_of_task
from maintenance.scheduling.timing import Timing

PERMISSION = "maintenance.change_maintenancemode"
STARTED, ENDED = "maintenance_mode.started", "maintenance_mode.ended"
words.register(
    {
        STARTED: gettext_noop("switched it on, or changed it"),
        ENDED: gettext_noop("switched it off"),
    }
)


def current(scope: str = ALL) -> MaintenanceMode:
    """Return the switch's current state; an unsaved one that is off if it was never used."""
    found = MaintenanceMode.objects.select_related("started_by").filter(scope=_known(scope)).first()
    return found or MaintenanceMode(pk=None if scope else MaintenanceMode.ROW, scope=scope)


def _known(scope: str) -> str:
    if scope != ALL and get_group(scope) is None:
        raise ValueError(f"There is no group of jobs {scope!r}.")
    return scope


class Modes:
    """All switches and planned windows as they are at one moment."""

    def __init__(
        self,
        modes: Iterable[MaintenanceMode] | None = None,
        windows: Iterable[PlannedWindow] | None = None,
    ) -> None:
        self._modes = list(MaintenanceMode.objects.order_by("pk") if modes is None else modes)
        self._rows = windows
        # The same object for all schedules of a group and calendar: what it has found once, it knows for all of them.
        self._holds: dict[tuple[str, str, str, bool], Holds] = {}

    @cached_property
    def windows(self) -> list[Window]:
        """The planned windows; read when they are first needed, which a tick without a due schedule never does."""
        return [Window(row) for row in (_windows() if self._rows is None else self._rows)]

    @property
    def on(self) -> list[MaintenanceMode]:
        """The switches that are on."""
        return [mode for mode in self._modes if mode.is_on]

    @property
    def of_all(self) -> MaintenanceMode:
        """The switch over all schedules; unsaved and off where it was never used."""
        return next((mode for mode in self._modes if mode.scope == ALL), None) or MaintenanceMode()

    def is_on(self, scope: str) -> bool:
        """Whether the switch of exactly this scope is on."""
        return any(mode.is_on and mode.scope == scope for mode in self._modes)

    def in_force(self, moment: datetime) -> list[Period]:
        """Return the switches that are on and the windows that are open at the moment."""
        switches = [period for mode in self.on if (period := Switch(mode).period) is not None]
        return switches + [period for window in self.windows if (period := window.at(moment)) is not None]

    def holds_of_group(self, group: str) -> Holds:
        """Return what holds all schedules of jobs of this group; empty: of none."""
        return self.holds_of_many(group)

    def holds_of_many(
        self, group: str, calendar: str = "", zone_name: str = "", *, with_weekends: bool = False
    ) -> Holds:
        """Return what holds all schedules of this group, and of this calendar in this time zone if there is one."""
        zone = zones.find(zone_name or settings.TIME_ZONE) if calendar else None
        # A schedule of an unknown zone cannot fire.
        key = (group, "", "", False) if zone is None else (group, calendar, zone.key, with_weekends)
        if key not in self._holds:
            scopes = {ALL, group}
            sources: list[Source] = [Switch(mode) for mode in self._modes if mode.scope in scopes]
            sources += [window for window in self.windows if window.row.scope in scopes]
            if zone is not None:
                sources.append(DaysOff(calendar, zone, with_weekends=with_weekends))
            self._holds[key] = Holds(sources)
        return self._holds[key]

    def holds_of(
        self,
        task: PeriodicTask,
        *,
        control: ScheduleControl | None = None,
        timing: Timing | None = None,
    ) -> Holds:
        """Return what holds the schedule beside its own pause, at any time, and until when.

        ``control``, ``timing``: others than those that are stored, such as those of a form.
        """
        control = control or control_or_default(task)
        if not control.days_off:
            return self.holds_of_group(group_of_task(task.task))
        return self.holds_of_many(
            group_of_task(task.task),
            control.days_off,
            (timing or Timing.of(task)).zone,
            with_weekends=control.days_off_weekends,
        )

    @property
    def task_names_held(self) -> list[str]:
        """The tasks of the jobs whose group is paused now."""
        return [job.task_name for job in jobs() if job.group and self.is_on(job.group)]


def _windows() -> Iterable[PlannedWindow]:
    recent = Q(ended_at__isnull=True) | Q(ended_at__gt=clock.now() - REMEMBERED)
    return PlannedWindow.objects.filter(recent).select_related("planned_by").order_by("starts_at", "pk")


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
    permit(by)
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
    permit(by)
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
    # What a window has held since then is put off until its end, and so are the slots before.
    span = Modes().holds_of_group(mode.scope).span_at(mode.ended_at)
    return waiting.exists() or (span is not None and (span.end is None or span.end > clock.database_now()))


def _locked(scope: str) -> MaintenanceMode:
    rows = MaintenanceMode.objects.select_for_update()
    found = rows.filter(scope=_known(scope)).first()
    if found is None:
        highest = MaintenanceMode.objects.aggregate(key=Max("pk"))["key"] or MaintenanceMode.ROW
        key = highest + 1 if scope else MaintenanceMode.ROW
        MaintenanceMode.objects.get_or_create(scope=scope, defaults={"pk": key})
        found = rows.get(scope=scope)
    return found


def _state(mode: MaintenanceMode) -> dict[str, Any]:
    return {
        "on": mode.is_on,
        "reason": mode.reason if mode.is_on else "",
        "until": mode.until.isoformat() if mode.is_on and mode.until else None,
    }


def permit(by: Person | None) -> None:
    """Raise PermissionDenied for a person who may not switch; None is the system."""
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not switch maintenance mode, nor pause scraping."))
