"""What people decide about alerts: somebody looks after it, or nothing shall be told about it for a while."""

from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_noop

import audit.words
from alerts.models import Alert, Mute
from audit.events import record
from database import clock
from database.ends import refuse_end
from database.messages import gettext as _

Person = User | AnonymousUser

PERMISSION = "alerts.decide_alert"
ACKNOWLEDGED, MUTED, UNMUTED = "alert.acknowledged", "alert.muted", "alert.unmuted"
NOTE_MAX = 500
audit.words.register(
    {
        ACKNOWLEDGED: gettext_noop("acknowledged"),
        MUTED: gettext_noop("muted"),
        UNMUTED: gettext_noop("ended the mute"),
    }
)


class NotPossible(Exception):
    """The alert's state does not allow it any more; the message says why."""


def may_decide(alert: Alert, person: Person) -> bool:
    """Whether the person may acknowledge and mute this alert: with the permission, or as the owner of its bot."""
    if not person.is_active or not Alert.objects.visible_to(person).filter(pk=alert.pk).exists():
        return False
    is_owner = alert.config is not None and alert.config.owner_id == person.pk
    return is_owner or person.has_perm(PERMISSION)


def acknowledge(alert: Alert, *, by: Person, note: str = "") -> None:
    """Note that the person looks after the alert: it does not escalate any more.

    Raises:
        PermissionDenied: the person may not decide about it.
        NotPossible: it is over, or somebody has acknowledged it.
    """
    _require(alert, by)
    with transaction.atomic():
        unacknowledged = Alert.objects.open().filter(pk=alert.pk, acknowledged_at__isnull=True)
        taken = unacknowledged.update(
            acknowledged_at=clock.now(),
            acknowledged_by_id=by.pk,
            acknowledged_by_name=by.get_username(),
            acknowledged_note=note[:NOTE_MAX],
        )
        alert.refresh_from_db()
        if not taken:
            raise NotPossible(
                _("It is over already.") if alert.closed_at else _("Somebody has acknowledged it.")
            )
        record(ACKNOWLEDGED, alert, by=by, reason=note[:NOTE_MAX])


def mute(alert: Alert, *, until: datetime, reason: str, by: Person) -> Mute:
    """Tell nobody about this rule and subject until a moment; a mute that exists gets this end and reason.

    Raises:
        PermissionDenied: the person may not decide about it.
        ValueError: the end is in the past or too far ahead.
    """
    _require(alert, by)
    refuse_end(until)
    with transaction.atomic():
        muted, _created = Mute.objects.update_or_create(
            rule=alert.rule,
            subject_type=alert.subject_type,
            subject_id=alert.subject_id,
            defaults={
                "until": until,
                "reason": reason,
                "created_at": clock.now(),
                "muted_by_id": by.pk,
                "muted_by_name": by.get_username(),
            },
        )
        record(MUTED, alert, by=by, reason=reason, after={"until": until.isoformat()})
    return muted


def unmute(alert: Alert, *, by: Person) -> None:
    """End the mute of the alert's rule and subject now.

    Raises:
        PermissionDenied: the person may not decide about it.
        NotPossible: there is none.
    """
    _require(alert, by)
    with transaction.atomic():
        if not mutes_of(alert).delete()[0]:
            raise NotPossible(_("It is not muted."))
        record(UNMUTED, alert, by=by)


def mutes_of(alert: Alert) -> QuerySet[Mute]:
    """Return the mute of the alert's rule and subject, if it has not ended."""
    key = {"rule": alert.rule, "subject_type": alert.subject_type, "subject_id": alert.subject_id}
    return Mute.objects.holding(clock.now()).filter(**key)


def _require(alert: Alert, by: Person) -> None:
    if not may_decide(alert, by):
        raise PermissionDenied(_("You may not decide about this alert."))
