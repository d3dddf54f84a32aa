"""What a schedule's owner wants to read: when it runs, in words, and when it runs next."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import get_language
from django_celery_beat.models import PeriodicTask

from maintenance import schedules
from maintenance.firetimes import Crontab, InvalidCrontab


@dataclass(frozen=True)
class Outlook:
    """The words for one schedule, in the reader's language."""

    sentence: str
    schedule_error: str  # why it cannot run at all, else empty
    zone: str
    crontab: Crontab | None
    next_run_at: datetime | None  # in the schedule's zone


def outlook(task: PeriodicTask) -> Outlook:
    """Return the outlook of a schedule; one whose stored crontab cannot run says so instead of raising."""
    crontab, zone = schedules.crontab_of(task), schedules.zone_of(task)
    sentence, error, slot = "", "", None
    try:
        if crontab is not None:
            crontab.validate()
        sentence = schedules.describe(task, get_language() or "en")
        slot = schedules.next_fire(task)
    except InvalidCrontab as invalid:
        error = f"{invalid.field}: {invalid.message}"
    return Outlook(
        sentence=sentence,
        schedule_error=error,
        zone=str(zone),
        crontab=crontab,
        next_run_at=slot.astimezone(zone) if slot else None,
    )
