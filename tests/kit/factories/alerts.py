"""Minimal valid events, alerts and what belongs to them."""

from datetime import time, timedelta
from typing import Any

from django.utils import timezone

from alerts.models import Alert, Delivery, Mute, QuietHours, Route
from audit.models import Event
from tests.kit.factories.numbers import numbers
from tests.kit.factories.people import user


def event(**fields: Any) -> Event:
    number = next(numbers)
    return Event.objects.create(
        **{"actor_kind": "system", "verb": "x.done", "subject_type": "x.Y", "subject_id": number, **fields}
    )


def alert(**fields: Any) -> Alert:
    number = next(numbers)
    values = {"rule": "failed", "subject_type": "maintenance.Job", "subject_id": number, "subject_name": "x"}
    return Alert.objects.create(**values | fields)


def route(**fields: Any) -> Route:
    values = {"name": f"route{next(numbers)}", "to": "addresses", "least_severity": "warning"}
    return Route.objects.create(**values | fields)


def webhook_route(**fields: Any) -> Route:
    values = {"to": "webhook", "url": "https://hooks.example.org/x", "secret": "s" * 32}
    return route(**values | fields)


def delivery(**fields: Any) -> Delivery:
    values = {
        "event": "opened",
        "channel": "mail",
        "recipient": f"{next(numbers)}@example.org",
        "next_attempt_at": timezone.now(),
    }
    values |= {"alert": fields.get("alert") or alert()}
    return Delivery.objects.create(**values | fields)


def mute(**fields: Any) -> Mute:
    number = next(numbers)
    values = {"rule": "failed", "subject_type": "maintenance.Job", "subject_id": number, "reason": "x"}
    return Mute.objects.create(**{"until": timezone.now() + timedelta(hours=1), **values, **fields})


def quiet_hours(**fields: Any) -> QuietHours:
    values = {"begins": time(22), "ends": time(7), "zone": "UTC", **fields}
    return QuietHours.objects.create(**values | {"person": fields.get("person") or user()})
