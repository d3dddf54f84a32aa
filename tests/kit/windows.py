"""A row of a maintenance window, as the least valid one."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from maintenance.models import PlannedWindow


def planned_window(**fields: Any) -> PlannedWindow:
    """Create a maintenance window of the next hour."""
    now = timezone.now()
    values = {
        "reason": "x",
        "timezone": "UTC",
        "starts_at": now,
        "ends_at": now + timedelta(hours=1),
        **fields,
    }
    return PlannedWindow.objects.create(**values)
