"""Each constraint of what stops schedules: a valid row, and the update that breaks it (``tests/test_constraints.py``)."""

from datetime import time, timedelta

from django.utils import timezone

from maintenance.models import MaintenanceMode
from tests.kit import factories, windows, yields

NOW = timezone.now()
NOBODY = -1  # no row has this key


def control(**fields):
    row = factories.schedule().control
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    return row


def maintenance_mode():
    return MaintenanceMode.objects.create(started_at=NOW, reason="x")


def two_of_one_scope():
    MaintenanceMode.objects.create(pk=2, scope="scraping")
    return MaintenanceMode.objects.create(pk=3, scope="baking"), {"scope": "scraping"}


def two_of_one_hour():
    one = yields.usual_rows()
    return yields.usual_rows(schedule=one.schedule, hour_of_week=1), {"hour_of_week": 0}


PAUSED = {"paused_at": NOW, "pause_reason": "x"}

SCHEDULES = [
    ("schedulecontrol_misfire_known", lambda: (control(), {"misfire_policy": "panic"})),
    ("schedulecontrol_overlap_known", lambda: (control(), {"overlap_policy": "panic"})),
    ("schedulecontrol_misfire_limit_from_1", lambda: (control(), {"misfire_limit": 0})),
    ("schedulecontrol_catch_up_hours_in_range", lambda: (control(), {"catch_up_hours": 0})),
    ("schedulecontrol_catch_up_hours_in_range", lambda: (control(), {"catch_up_hours": 8_761})),
    ("schedulecontrol_retries_in_range", lambda: (control(), {"retries": 11})),
    ("schedulecontrol_time_limit_in_range", lambda: (control(), {"time_limit_seconds": 9})),
    ("schedulecontrol_time_limit_in_range", lambda: (control(), {"time_limit_seconds": 7_001})),
    ("schedulecontrol_failures_in_range", lambda: (control(), {"pause_after_failures": 0})),
    ("schedulecontrol_failures_in_range", lambda: (control(), {"pause_after_failures": 101})),
    ("schedulecontrol_pause_has_reason", lambda: (control(), {"paused_at": NOW})),
    ("schedulecontrol_pause_has_reason", lambda: (control(**PAUSED), {"pause_reason": ""})),
    ("schedulecontrol_pause_has_reason", lambda: (control(), {"pause_reason": "x"})),
    ("schedulecontrol_pause_has_reason", lambda: (control(), {"paused_until": NOW})),
    ("maintenancemode_first_row_is_of_all", lambda: (maintenance_mode(), {"id": 2})),
    ("maintenancemode_first_row_is_of_all", lambda: (maintenance_mode(), {"scope": "scraping"})),
    ("maintenancemode_one_row_per_scope", two_of_one_scope),
    ("schedulecontrol_schedule_fk", lambda: (control(), {"schedule_id": NOBODY})),
    ("schedulecontrol_paused_by_fk", lambda: (control(), {"paused_by_id": NOBODY})),
    ("maintenancemode_started_by_fk", lambda: (maintenance_mode(), {"started_by_id": NOBODY})),
    ("plannedwindow_planned_by_fk", lambda: (windows.planned_window(), {"planned_by_id": NOBODY})),
    ("usualrows_hour_of_week_known", lambda: (yields.usual_rows(), {"hour_of_week": 168})),
    ("usualrows_one_per_hour", two_of_one_hour),
    ("rowsverdict_kind_known", lambda: (yields.rows_verdict(), {"kind": "other"})),
    ("plannedwindow_has_reason", lambda: (windows.planned_window(), {"reason": ""})),
    ("plannedwindow_ends_after_start", lambda: (windows.planned_window(starts_at=NOW), {"ends_at": NOW})),
    ("plannedwindow_weekly_has_times", lambda: (windows.planned_window(), {"weekdays": "6"})),
    ("plannedwindow_weekly_has_times", lambda: (windows.planned_window(), {"from_time": time(1)})),
    ("maintenancemode_has_reason", lambda: (maintenance_mode(), {"reason": ""})),
    ("maintenancemode_ends_after_start", lambda: (maintenance_mode(), {"ended_at": NOW - timedelta(days=1)})),
    ("maintenancemode_ends_after_start", lambda: (maintenance_mode(), {"started_at": None, "ended_at": NOW})),
]
