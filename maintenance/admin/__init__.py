"""Maintenance in Django's admin."""

from maintenance.admin import retentions, schedules

__all__ = ["retentions", "schedules"]
