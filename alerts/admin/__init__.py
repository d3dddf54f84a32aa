"""The pages of this app, one file each."""

from alerts.admin import alerts, deliveries, routes

__all__ = ["alerts", "deliveries", "routes"]
