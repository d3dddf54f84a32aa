"""Each constraint of alerts: a valid row, and the update that breaks it (``tests/test_constraints.py``)."""

from datetime import time, timedelta

from django.contrib.auth.models import Group
from django.utils import timezone

from alerts.models import Reader
from tests.kit import factories, pings

NOW, HOUR = timezone.now(), timedelta(hours=1)
NOBODY = -1


def same_as_another(make, field):
    first, second = make(), make()
    return second, {field: getattr(first, field)}


def one_recipient_is_told_twice():
    first = factories.delivery()
    return factories.delivery(alert=first.alert), {"recipient": first.recipient}


def one_end_is_told_twice():
    first = pings.ping()
    return pings.ping(address=first.address, run=first.run, event="fail"), {"event": first.event}


def reader():
    return Reader.objects.create(person=factories.user(), language="en")


def route_to(**whom):
    return factories.route(to=next(iter(whom)), **whom)


ALERTS = [
    (
        "alert_one_open_per_subject",
        lambda: same_as_another(factories.alert, "subject_id"),
    ),
    ("alert_closed_after_opened", lambda: (factories.alert(), {"closed_at": NOW - HOUR})),
    ("alert_severity_known", lambda: (factories.alert(), {"severity": "bad"})),
    ("alert_occurrences_from_1", lambda: (factories.alert(), {"occurrences": 0})),
    ("alert_acknowledged_by_somebody", lambda: (factories.alert(), {"acknowledged_at": NOW})),
    ("mute_one_per_subject", lambda: same_as_another(factories.mute, "subject_id")),
    ("mute_has_reason", lambda: (factories.mute(), {"reason": ""})),
    ("mute_ends_after_its_begin", lambda: (factories.mute(), {"until": NOW - HOUR})),
    ("quiethours_begin_is_no_end", lambda: (factories.quiet_hours(), {"ends": time(22)})),
    ("route_name_unique", lambda: same_as_another(factories.route, "name")),
    ("route_has_its_recipient", lambda: (factories.route(), {"to": "person"})),
    ("route_has_its_recipient", lambda: (factories.route(), {"person": factories.user()})),
    ("route_webhook_is_signed", lambda: (factories.route(), {"to": "webhook"})),
    ("route_severity_known", lambda: (factories.route(), {"least_severity": "bad"})),
    ("route_escalates_within_a_day", lambda: (factories.route(), {"escalates_after_minutes": 0})),
    ("route_escalates_within_a_day", lambda: (factories.route(), {"escalates_after_minutes": 1_441})),
    ("delivery_alert_fk", lambda: (factories.delivery(), {"alert": NOBODY})),
    ("delivery_once_per_recipient", one_recipient_is_told_twice),
    ("delivery_event_known", lambda: (factories.delivery(), {"event": "seen"})),
    ("delivery_channel_known", lambda: (factories.delivery(), {"channel": "fax"})),
    ("delivery_has_recipient", lambda: (factories.delivery(), {"recipient": ""})),
    ("delivery_pending_or_ended_once", lambda: (factories.delivery(), {"delivered_at": NOW})),
    ("delivery_pending_or_ended_once", lambda: (factories.delivery(), {"next_attempt_at": None})),
    ("pingaddress_schedule_fk", lambda: (pings.ping_address(url=""), {"schedule_id": NOBODY})),
    ("ping_address_fk", lambda: (pings.ping(), {"address_id": NOBODY})),
    ("ping_run_fk", lambda: (pings.ping(), {"run_id": NOBODY})),
    ("alert_acknowledged_by_fk", lambda: (factories.alert(), {"acknowledged_by_id": NOBODY})),
    ("mute_muted_by_fk", lambda: (factories.mute(), {"muted_by_id": NOBODY})),
    ("quiethours_person_fk", lambda: (factories.quiet_hours(), {"person_id": NOBODY})),
    ("reader_person_fk", lambda: (reader(), {"person_id": NOBODY})),
    ("route_group_fk", lambda: (route_to(group=Group.objects.create(name="x")), {"group_id": NOBODY})),
    ("route_person_fk", lambda: (route_to(person=factories.user()), {"person_id": NOBODY})),
    ("delivery_route_fk", lambda: (factories.delivery(), {"route_id": NOBODY})),
    ("delivery_person_fk", lambda: (factories.delivery(), {"person_id": NOBODY})),
    ("ping_once_per_event", one_end_is_told_twice),
    ("ping_event_known", lambda: (pings.ping(), {"event": "log"})),
    ("ping_pending_or_ended_once", lambda: (pings.ping(), {"delivered_at": NOW})),
    ("ping_pending_or_ended_once", lambda: (pings.ping(), {"next_attempt_at": None})),
    ("delivery_sent_in_a_message", lambda: (factories.delivery(), {"attempts": 1})),
]
