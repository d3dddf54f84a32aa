"""What people do to many schedules at once: pause, resume, move in time, delete; all in one transaction.

Each schedule changes as in ``edits``, and has its own event, but statements are over all of them: ten thousand take a
few seconds. Ticks leave them alone meanwhile, and take them right afterwards, as after an edit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import transaction
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from audit.admin_edits import record_deletions
from audit.events import Change, record_changes
from database import clock
from database.messages import gettext as _
from database.returning import delete_rows
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import Person
from maintenance.scheduling import edits, time_rows
from maintenance.scheduling.edit_events import PAUSED, RESUMED, RETIMED, permit, permit_deletion, state_of
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.replanning import SAVED, insert, replan
from maintenance.scheduling.schedules import KINDS, has_run
from maintenance.scheduling.timing import Timing

# They are locked for as long as it takes to change all of them.
SCHEDULES_MAX: Final = 10_000
# Returns why a schedule, as it is under the lock, is left as it is; empty: it is changed.
Refuse = Callable[[PeriodicTask], str]


@dataclass
class Result:
    """What became of the schedules."""

    changed: int = 0
    # They were so already.
    unchanged: int = 0
    # Those that were left as they are, by the reason.
    refused: dict[str, list[PeriodicTask]] = field(default_factory=dict)
    # The keys of those that there were.
    found: set[int] = field(default_factory=set)

    def refuse(self, task: PeriodicTask, reason: str) -> None:
        """Note that a schedule is left as it is."""
        self.refused.setdefault(reason, []).append(task)


def has_run_in_words() -> str:
    """Return why a one-off that has run is left as it is where many schedules are changed."""
    return _("It was to run once, and has: give it a new time on its page.")


def pause_many(
    keys: Sequence[int], *, by: Person | None, reason: str, until: datetime | None, refuse: Refuse
) -> Result:
    """Pause the schedules; of those that are paused, change the pause. For the errors see ``edits.pause``."""
    permit(by)
    kept = edits.reason_of_pause(reason, until)

    def disable(task: PeriodicTask) -> None:
        task.enabled = False

    def begin(control: ScheduleControl, was_enabled: bool) -> None:
        edits.begin_pause(control, was_enabled=was_enabled, by=by, reason=kept, until=until)

    return _perform(_Edit(PAUSED, disable, begin), keys, by=by, reason=kept, refuse=refuse)


def resume_many(keys: Sequence[int], *, by: Person | None, reason: str, refuse: Refuse) -> Result:
    """Resume the schedules. For the errors see ``edits.resume``."""
    permit(by)

    def enable(task: PeriodicTask) -> None:
        task.enabled = True

    def end(control: ScheduleControl, was_enabled: bool) -> None:
        edits.end_pause(control)

    return _perform(_Edit(RESUMED, enable, end, _is_active), keys, by=by, reason=reason, refuse=refuse)


def shift_many(
    keys: Sequence[int], *, by: Person | None, minutes: int, reason: str, refuse: Refuse
) -> Result:
    """Move the schedules' times of day by some minutes; those that cannot be moved are refused.

    Raises:
        PermissionDenied.
    """
    permit(by)

    def move(task: PeriodicTask) -> None:
        time = time_rows.moved(Timing.of(task), minutes)
        assert time.crontab is not None
        task.crontab = time_rows.unsaved_crontab(time.crontab, time.zone)

    def keep(control: ScheduleControl, was_enabled: bool) -> None:
        """Leave the pause as it is."""

    return _perform(_Edit(RETIMED, move, keep), keys, by=by, reason=reason, refuse=refuse)


def delete_many(keys: Sequence[int], *, by: Person | None, reason: str, refuse: Refuse) -> Result:
    """Delete the schedules; their runs stay. For the errors see ``edits.delete``."""
    permit_deletion(by)
    with transaction.atomic():
        # Their open runs first: a worker that hands a run back locks the run and then the schedule.
        runs = JobRun.objects.open().filter(schedule__in=keys).order_by("pk")
        list(runs.select_for_update().values_list("pk"))
        tasks, result = _locked(keys, refuse)
        record_deletions(tasks, by=by, reason=reason)
        delete_rows(PeriodicTask.objects.filter(pk__in=[task.pk for task in tasks]))
        result.changed = len(tasks)
        PeriodicTasks.update_changed()
    return result


def _is_active(task: PeriodicTask) -> bool:
    return task.enabled and task.control.paused_at is None


@dataclass(frozen=True)
class _Edit:
    verb: str
    # Changes the timing; raises ValueError with the reason why the schedule is left as it is.
    change: Callable[[PeriodicTask], None]
    # Then changes the pause; the second argument: whether the schedule was enabled.
    settle: Callable[[ScheduleControl, bool], None]
    # Whether there is nothing to change.
    is_so: Callable[[PeriodicTask], bool] = lambda task: False


def _perform(edit: _Edit, keys: Sequence[int], *, by: Person | None, reason: str, refuse: Refuse) -> Result:
    """Change each schedule in memory, then write all of them."""
    with transaction.atomic():
        tasks, result = _locked(keys, refuse)
        now, modes = clock.database_now(), Modes()
        edited: list[PeriodicTask] = []
        rows: list[JobRun] = []
        changes: list[Change] = []
        for task in tasks:
            if has_run(task):
                result.refuse(task, has_run_in_words())
                continue
            if edit.is_so(task):
                result.unchanged += 1
                continue
            before, was_enabled = state_of(task), task.enabled
            try:
                edit.change(task)
            except ValueError as refusal:
                result.refuse(task, getattr(refusal, "message", str(refusal)))
                continue
            rows += replan(task, task.control, now=now, modes=modes)
            edit.settle(task.control, was_enabled)
            edited.append(task)
            changes.append(Change(task, before, state_of(task)))
        _write(edited, rows)
        record_changes(edit.verb, changes, by=by, reason=reason)
        result.changed = len(edited)
    return result


def _locked(keys: Sequence[int], refuse: Refuse) -> tuple[list[PeriodicTask], Result]:
    """Lock the schedules as a tick does, and return those that are not refused, as they are now."""
    result = Result()
    rows = PeriodicTask.objects.filter(pk__in=keys).order_by("pk")
    result.found = set(rows.select_for_update().values_list("pk", flat=True))
    found = PeriodicTask.objects.filter(pk__in=result.found)
    without = found.filter(control=None).values_list("pk", flat=True)
    ScheduleControl.objects.bulk_create(
        [ScheduleControl(schedule_id=pk) for pk in without], ignore_conflicts=True
    )
    tasks = []
    # Many share a time: those rows are read once.
    for task in found.select_related("control").prefetch_related(*KINDS).order_by("name"):
        if reason := refuse(task):
            result.refuse(task, reason)
        else:
            tasks.append(task)
    return tasks, result


def _write(tasks: list[PeriodicTask], rows: list[JobRun]) -> None:
    insert(rows)
    time_rows.save_crontabs(tasks)
    for enabled in (True, False):
        keys = [task.pk for task in tasks if task.enabled == enabled]
        PeriodicTask.objects.filter(pk__in=keys).update(enabled=enabled, date_changed=clock.now())
    ScheduleControl.objects.bulk_create(
        [task.control for task in tasks],
        update_conflicts=True,
        unique_fields=["schedule"],
        update_fields=[*SAVED, "timing", *edits.PAUSE_FIELDS],
    )
    PeriodicTasks.update_changed()
