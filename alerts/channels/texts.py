"""What a message about alerts says: as JSON for programs, and in words for people."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import moment
from alerts.models import Alert, Delivery
from alerts.reading import Reading
from alerts.rules import RULES, title_in_words
from database.messages import english_of

# The version of the schema of a webhook's body: raised when a field is removed or changes its meaning.
SCHEMA = 1
# A message about more alerts lists the first ones, and says how many there are.
LISTED_MAX = 50
SUBJECT_LENGTH = 150
TEST = "test"


@dataclass(frozen=True)
class Notice:
    """One message: an event of one or more alerts. Without alerts it is a test."""

    id: UUID
    event: str
    alerts: Sequence[Alert]
    sent_at: datetime
    # How its words are written; JSON is in English.
    reading: Reading
    # Of an end: the messages that told of a beginning, of which all alerts are over now.
    ended: Sequence[UUID] = ()


def as_json(notice: Notice) -> dict[str, Any]:
    """Return the body of a webhook; texts are in English, whatever the language of the process."""
    return {
        "schema": SCHEMA,
        "id": str(notice.id),
        "event": notice.event,
        "sent_at": notice.sent_at.isoformat(),
        "console": settings.CONSOLE_URL,
        "count": len(notice.alerts),
        "alerts": [_alert_as_json(alert) for alert in notice.alerts[:LISTED_MAX]],
    }


def _alert_as_json(alert: Alert) -> dict[str, Any]:
    title = RULES[alert.rule].title if alert.rule in RULES else alert.rule
    return {
        "id": alert.pk,
        "rule": alert.rule,
        "title": str(english_of(title)),
        "severity": alert.severity,
        "subject": {"type": alert.subject_type, "id": alert.subject_id, "name": alert.subject_name},
        "cause": str.__str__(english_of(alert.cause)),
        "occurrences": alert.occurrences,
        "opened_at": alert.opened_at.isoformat(),
        "closed_at": alert.closed_at.isoformat() if alert.closed_at else None,
        "is_flapping": alert.is_flapping,
        "url": address_of(alert),
    }


def address_of(alert: Alert) -> str:
    """Return the address of the alert's page; empty: CONSOLE_URL is not set."""
    page = reverse("admin:alerts_alert_change", args=[alert.pk])
    return f"{settings.CONSOLE_URL.rstrip('/')}{page}" if settings.CONSOLE_URL else ""


def in_words(notice: Notice) -> tuple[str, str]:
    """Return subject and body in the languages of its reading, one after the other; the subject is in the first."""
    subjects, bodies = [], []
    for language in notice.reading.languages:
        with translation.override(language), _in_zone(notice.reading):
            subjects.append(_subject(notice))
            bodies.append("\n\n".join([subjects[-1], *_paragraphs(notice)]))
    return subjects[0], "\n\n--\n\n".join(bodies) + "\n"


def _in_zone(reading: Reading) -> AbstractContextManager[Any]:
    return timezone.override(reading.zone) if reading.zone else nullcontext()


def _subject(notice: Notice) -> str:
    if not notice.alerts:
        return _("A test of the maintenance console’s alerts")
    worst = min(notice.alerts, key=lambda alert: alert.severity != Alert.Severity.CRITICAL)
    what = title_in_words(worst)
    if more := len(notice.alerts) - 1:
        told = {"what": what, "number": more}
        what = ngettext("%(what)s, and %(number)s more", "%(what)s, and %(number)s more", more) % told
    match notice.event:
        case Delivery.Event.CLOSED:
            what = _("Over: %(what)s") % {"what": what}
        case Delivery.Event.ESCALATED:
            what = _("Not acknowledged: %(what)s") % {"what": what}
    # One line, whatever the name of a subject contains.
    return " ".join(f"[{worst.get_severity_display()}] {what}".split())[:SUBJECT_LENGTH]


def _paragraphs(notice: Notice) -> list[str]:
    if not notice.alerts:
        return [_("If you read this, mails of this route arrive.")]
    told = [_paragraph(alert) for alert in notice.alerts[:LISTED_MAX]]
    if (left := len(notice.alerts) - LISTED_MAX) > 0:
        told.append(ngettext("%(number)s more alert.", "%(number)s more alerts.", left) % {"number": left})
    return told


def _paragraph(alert: Alert) -> str:
    lines = [title_in_words(alert), alert.cause]
    if alert.closed_at:
        told = {"since": moment(alert.opened_at), "until": moment(alert.closed_at)}
        lines.append(_("From %(since)s until %(until)s.") % told)
    else:
        lines.append(_("Since %(since)s.") % {"since": moment(alert.opened_at)})
    if alert.is_flapping:
        lines.append(_("It comes and goes: no more is told about it until it was gone for an hour."))
    return "\n".join(line for line in (*lines, address_of(alert)) if line)
