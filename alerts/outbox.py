"""Writes deliveries, in the transaction of the event that they tell."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from alerts.models import Alert, Delivery, QuietHours
from alerts.recipients import Directory, Recipient
from database.messages import english_of

# What opens within this time with the same cause is told in one message.
COLLECT = timedelta(minutes=1)


def tell_opened(alert: Alert, directory: Directory, now: datetime) -> None:
    """Write the deliveries of an alert that has opened, if no other process has done so."""
    if Alert.objects.open().filter(pk=alert.pk, told_at__isnull=True).update(told_at=now):
        _write(alert, Delivery.Event.OPENED, directory.told_at_once(alert), now)


def tell_escalated(alert: Alert, recipients: Iterable[Recipient], now: datetime) -> None:
    """Write that nobody has acknowledged an alert."""
    _write(alert, Delivery.Event.ESCALATED, recipients, now)


def tell_closed(alert: Alert, now: datetime) -> None:
    """Write that an alert is over, to all who are told that it opened."""
    told = Delivery.objects.filter(alert=alert, failed_at__isnull=True).select_related("route").order_by("pk")
    recipients: dict[tuple[str, str], Recipient] = {}
    for row in told:
        one = Recipient(
            row.channel, row.recipient, row.route_id, row.person_id, row.route.language if row.route else ""
        )
        key = row.channel, row.recipient
        # Two routes to one shared address may have told of the beginning and of the escalation, each in its language.
        recipients[key] = recipients[key].joined(one) if key in recipients else one
    _write(alert, Delivery.Event.CLOSED, recipients.values(), now)


def _write(alert: Alert, event: str, recipients: Iterable[Recipient], now: datetime) -> None:
    recipients = list(recipients)
    quiet = {} if alert.severity == Alert.Severity.CRITICAL else _quiet(recipients, now)
    rows = [
        Delivery(
            alert=alert,
            event=event,
            channel=one.channel,
            recipient=one.address,
            route_id=one.route_id,
            person_id=one.person_id,
            cause_key=cause_key(alert),
            created_at=now,
            next_attempt_at=max(now + COLLECT, quiet.get(one.person_id, now)),
        )
        for one in recipients
    ]
    # delivery_once_per_recipient
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)


def _quiet(recipients: Iterable[Recipient], now: datetime) -> dict[int | None, datetime]:
    """Return the people in whose quiet hours it is, with the end of these hours."""
    people = [one.person_id for one in recipients if one.person_id is not None]
    rows = QuietHours.objects.filter(person__in=people) if people else []
    ends = {row.pk: row.end_after(now) for row in rows}
    return {person: end for person, end in ends.items() if end is not None}


def cause_key(alert: Alert) -> str:
    """Return a key that alerts of one cause share: of one rule, with a cause that differs in numbers only."""
    cause = re.sub(r"\d+", "0", str.__str__(english_of(alert.cause)))
    return sha256(f"{alert.rule}\0{cause}".encode()).hexdigest()[:32]
