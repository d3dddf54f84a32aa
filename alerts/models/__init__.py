"""The models of this app, one file each."""

from alerts.models.alerts import SEE_ALL, Alert, AlertQuerySet
from alerts.models.deliveries import Delivery
from alerts.models.mutes import Mute
from alerts.models.pings import Ping, PingAddress
from alerts.models.quiet_hours import QuietHours
from alerts.models.readers import Reader
from alerts.models.routes import Route

__all__ = [
    "SEE_ALL",
    "Alert",
    "AlertQuerySet",
    "Delivery",
    "Mute",
    "Ping",
    "PingAddress",
    "QuietHours",
    "Reader",
    "Route",
]
