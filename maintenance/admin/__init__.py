"""Maintenance in Django's admin."""

from maintenance.admin import retentions, runs, schedules

__all__ = ["retentions", "runs", "schedules"]
