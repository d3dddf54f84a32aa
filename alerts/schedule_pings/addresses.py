"""What people do with the ping address of a schedule: set it, take it away, send a test. No event contains it."""

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext_noop
from django_celery_beat.models import PeriodicTask

from alerts.channels import addresses as channel_addresses
from alerts.channels.addresses import AddressRefused
from alerts.channels.answers import Answer
from alerts.models import PingAddress
from alerts.schedule_pings import requests
from audit import words
from audit.events import record
from database import clock
from database.messages import gettext as _
from maintenance.registry import Person
from maintenance.scheduling.edits import PERMISSION

SET, REMOVED, TESTED = "schedule.ping_set", "schedule.ping_removed", "schedule.ping_tested"
words.register(
    {
        SET: gettext_noop("set its ping address"),
        REMOVED: gettext_noop("took its ping address away"),
        TESTED: gettext_noop("sent a test to its ping address"),
    }
)


def check(url: str) -> None:
    """Check an address as far as that is possible without a request; the name is resolved when a ping is sent.

    Raises:
        AddressRefused: it is none; the message says what to enter, and does not contain it.
    """
    try:
        channel_addresses.check(url, schemes=("https",))
    except AddressRefused:
        text = _("Enter an https address without user and password, such as https://hc-ping.com/….")
        raise AddressRefused(text) from None


def set_address(task: PeriodicTask, url: str, *, by: Person) -> None:
    """Let the runs of the schedule be told to an address; pings that wait go there too, at once.

    Raises:
        PermissionDenied; AddressRefused: see ``check``.
    """
    _permit(by)
    check(url)
    with transaction.atomic():
        address, is_new = PingAddress.objects.get_or_create(schedule=task, defaults={"url": url})
        if not is_new:
            address.url = url
            address.save(update_fields=["url"])
            address.pings.pending().update(next_attempt_at=clock.database_now())
        record(SET, task, by=by)


def remove_address(task: PeriodicTask, *, by: Person) -> None:
    """Tell nobody any more; the pings go with it, sent or not.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    with transaction.atomic():
        address = PingAddress.objects.select_for_update().filter(schedule=task).first()
        if address is not None:
            address.delete()
            record(REMOVED, task, by=by)


def try_address(task: PeriodicTask, *, by: Person) -> Answer:
    """Send a line for the service's log, which changes no state there; return what the service said.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    address = PingAddress.objects.filter(schedule=task).first()
    if address is None:
        return Answer(_("The schedule has no ping address."))
    answer = requests.send(address, requests.TEST, "test")
    record(TESTED, task, by=by, parameters={"answer": answer.text})
    return answer


def _permit(by: Person) -> None:
    if not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change schedules."))
