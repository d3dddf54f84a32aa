"""The ledger and what operators own: runs, log lines, schedule controls, retentions, the scheduler's lease."""

from maintenance.models.log_lines import RunLogLine
from maintenance.models.maintenance_mode import MaintenanceMode, Window
from maintenance.models.processes import BeatLease, BeatProcess, WorkerProcess
from maintenance.models.retention import RetentionOverride, RetentionPolicy
from maintenance.models.run_queries import Person, group_runs, show_runs
from maintenance.models.runs import FORCE_STOP_AFTER, JobRun
from maintenance.models.schedules import ScheduleControl

__all__ = [
    "FORCE_STOP_AFTER",
    "BeatLease",
    "BeatProcess",
    "JobRun",
    "MaintenanceMode",
    "Person",
    "RetentionOverride",
    "RetentionPolicy",
    "RunLogLine",
    "ScheduleControl",
    "Window",
    "WorkerProcess",
    "group_runs",
    "show_runs",
]
