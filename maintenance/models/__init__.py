"""The ledger and what operators own: runs, log lines, schedule controls, retentions, the scheduler's lease."""

from maintenance.models.groups import group_runs
from maintenance.models.hooks import HookCall, ScheduleHook
from maintenance.models.log_lines import RunLogLine
from maintenance.models.maintenance_mode import MaintenanceMode
from maintenance.models.planned_windows import PlannedWindow
from maintenance.models.processes import BeatLease, BeatProcess, WorkerProcess
from maintenance.models.retention import RetentionOverride, RetentionPolicy
from maintenance.models.run_queries import Person, show_runs
from maintenance.models.run_totals import RunTotals
from maintenance.models.runs import FORCE_STOP_AFTER, JobRun
from maintenance.models.runs_of_days import RunsOfDay
from maintenance.models.schedules import ScheduleControl
from maintenance.models.yields import RowsVerdict, UsualRows

__all__ = [
    "FORCE_STOP_AFTER",
    "BeatLease",
    "BeatProcess",
    "HookCall",
    "JobRun",
    "MaintenanceMode",
    "Person",
    "PlannedWindow",
    "RetentionOverride",
    "RetentionPolicy",
    "RowsVerdict",
    "RunLogLine",
    "RunTotals",
    "RunsOfDay",
    "ScheduleControl",
    "ScheduleHook",
    "UsualRows",
    "WorkerProcess",
    "group_runs",
    "show_runs",
]
