"""The likely cause of rows that are far from usual: the last change of what decides them."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from adminkit.templatetags.display import local, zoned
from audit import words
from audit.models import Event
from database.messages import gettext as _
from database.messages import message_of
from maintenance.job_groups import SCRAPING
from maintenance.models import RetentionPolicy, RowsVerdict
from maintenance.models.groups import jobs_by_group
from scraping.models import BotConfig

# A change is named if it was made this long before the first run that is far from usual, or later. A schedule may be
# weekly.
CHANGED_BEFORE: Final = timedelta(days=8)
# What changes the rows of a run; written by ``scheduling.edits``, ``retention``, the lists of the admin site and
# ``scraping.sessions.warnings``.
VERBS: Final = (
    "row.changed",
    "row.added",
    "row.deleted",
    "schedule.retimed",
    "schedule.paused",
    "schedule.resumed",
    "retention.changed",
    "bot.paused",
)


def likely_cause(schedule: int, kind: str, since: datetime) -> str:
    """Return the likely cause, and what to look at, of rows that are far from usual since a slot."""
    if change := _last_change(schedule, since - CHANGED_BEFORE):
        told = {
            "what": message_of(words.in_words(change.verb)),
            "subject": change.subject_name,
            "name": change.actor_name or message_of(Event.ActorKind(change.actor_kind).label),
            "time": zoned(local(change.at)),
        }
        return _("Likely cause: %(what)s, “%(subject)s”, by %(name)s at %(time)s.") % told
    if kind == RowsVerdict.Kind.MORE:
        return _("Neither the schedule nor its retention was changed: look at what has grown.")
    return _("Neither the schedule nor its retention was changed: look at whether new rows still come in.")


def _last_change(schedule: int, after: datetime) -> Event | None:
    """Return the last change of the schedule, of its job's retention, or of a bot if the job scrapes."""
    task = PeriodicTask.objects.filter(pk=schedule).first()
    if task is None:
        return None
    slug = task.task.rpartition(".")[2]
    about = Q(subject_type=PeriodicTask._meta.label, subject_id=str(schedule))
    if policy := RetentionPolicy.objects.filter(job=slug).first():
        about |= Q(subject_type=RetentionPolicy._meta.label, subject_id=str(policy.pk))
    if slug in jobs_by_group().get(SCRAPING.slug, ()):
        about |= Q(subject_type=BotConfig._meta.label)
    return Event.objects.filter(about, verb__in=VERBS, at__gte=after).newest_first().first()
