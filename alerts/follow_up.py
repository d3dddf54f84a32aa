"""What time alone brings about: a mute that ends, and an alert that nobody acknowledges."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from alerts.models import Alert, Mute
from alerts.outbox import tell_escalated, tell_opened
from alerts.recipients import Directory

Key = tuple[str, str, str]


def muted_subjects(now: datetime) -> set[Key]:
    """Return rule, type and id of what is muted."""
    return set(Mute.objects.holding(now).values_list("rule", "subject_type", "subject_id"))


def follow_up(now: datetime) -> None:
    """Tell about open alerts whose mute has ended, and escalate those that nobody acknowledges."""
    muted, directory = muted_subjects(now), Directory()
    for alert in Alert.objects.open().filter(told_at__isnull=True).order_by("pk"):
        if alert.subject_key not in muted:
            with transaction.atomic():
                tell_opened(alert, directory, now)
    for minutes in sorted({route.escalates_after_minutes or 0 for route in directory.escalations}):
        routes = [route for route in directory.escalations if route.escalates_after_minutes == minutes]
        waiting = Alert.objects.open().filter(
            Q(escalated_minutes__isnull=True) | Q(escalated_minutes__lt=minutes),
            acknowledged_at__isnull=True,
            told_at__lte=now - timedelta(minutes=minutes),
        )
        for alert in waiting.order_by("pk"):
            if alert.subject_key not in muted:
                with transaction.atomic():
                    # A compare-and-set: somebody may acknowledge it, and another process may escalate it.
                    if waiting.filter(pk=alert.pk).update(escalated_minutes=minutes):
                        tell_escalated(alert, directory.of(routes, alert), now)
