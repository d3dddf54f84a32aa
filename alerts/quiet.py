"""What people set for themselves: the hours at which they are not told what can wait."""

from datetime import time

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_noop

import audit.words
from alerts.models import QuietHours
from audit.events import record
from database import zones
from database.messages import gettext as _

SET, ENDED = "person.quiet_hours_set", "person.quiet_hours_ended"
audit.words.register(
    {SET: gettext_noop("set quiet hours"), ENDED: gettext_noop("has no quiet hours any more")}
)


def set_quiet_hours(*, begins: time, ends: time, zone: str, by: User | AnonymousUser) -> QuietHours:
    """Store the person's own quiet hours.

    Raises:
        PermissionDenied: nobody is signed in.
        ValueError: begin and end are the same, or the zone is unknown.
    """
    person = _person(by)
    if begins == ends:
        raise ValueError(_("Begin and end are the same."))
    if not zones.is_offered(zone):
        raise ValueError(_("This time zone is unknown."))
    with transaction.atomic():
        values = {"begins": begins, "ends": ends, "zone": zone}
        hours, _created = QuietHours.objects.update_or_create(person=person, defaults=values)
        record(
            SET, person, by=person, after={"from": f"{begins:%H:%M}", "until": f"{ends:%H:%M}", "zone": zone}
        )
    return hours


def end_quiet_hours(*, by: User | AnonymousUser) -> None:
    """Delete the person's own quiet hours, if there are any."""
    person = _person(by)
    with transaction.atomic():
        if QuietHours.objects.filter(person=person).delete()[0]:
            record(ENDED, person, by=person)


def _person(by: User | AnonymousUser) -> User:
    if not isinstance(by, User) or not by.is_active:
        raise PermissionDenied(_("Sign in first."))
    return by
