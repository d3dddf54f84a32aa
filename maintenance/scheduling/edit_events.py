"""Who may edit schedules, and what the events of their edits are called and say."""

from datetime import UTC

from django.core.exceptions import PermissionDenied
from django.utils import translation
from django.utils.translation import gettext_noop
from django_celery_beat.models import PeriodicTask

from audit import words
from database.messages import gettext as _
from maintenance.registry import Person
from maintenance.scheduling.schedules import control_of, stored_time

PERMISSION = "django_celery_beat.change_periodictask"
DELETE = "django_celery_beat.delete_periodictask"
CREATED, RETIMED, KEPT = "schedule.created", "schedule.retimed", "schedule.kept"
PAUSED, RESUMED, POLICIES = "schedule.paused", "schedule.resumed", "schedule.policies_changed"
words.register(
    {
        CREATED: gettext_noop("created by its default"),
        RETIMED: gettext_noop("retimed"),
        KEPT: gettext_noop("kept although its default changed"),
        PAUSED: gettext_noop("paused, or changed the pause"),
        RESUMED: gettext_noop("resumed"),
        POLICIES: gettext_noop("changed what happens to missed and overlapping slots, and after failures"),
    }
)


def permit(by: Person | None) -> None:
    """Raise PermissionDenied for a person who may not change schedules; None is the system."""
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change schedules."))


def permit_deletion(by: Person | None) -> None:
    """Raise PermissionDenied for a person who may not delete schedules; None is the system."""
    if by is not None and not (by.is_active and by.has_perm(DELETE)):
        raise PermissionDenied(_("You may not delete schedules."))


def state_of(task: PeriodicTask) -> dict[str, str | bool]:
    """Return what an event says of the schedule before and after an edit."""
    with translation.override("en"):  # for an interval it is a text of django-celery-beat
        stored = stored_time(task)
    state: dict[str, str | bool] = {"schedule": stored, "enabled": task.enabled}
    limits = (("start", task.start_time), ("end", task.expires))
    state |= {name: moment.astimezone(UTC).isoformat() for name, moment in limits if moment}
    if not task.enabled:
        control = control_of(task)
        until = control.paused_until
        state |= {"pause": control.pause_reason, "until": until.isoformat() if until else ""}
    return state
