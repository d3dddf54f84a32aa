"""Whether a failed run was the only one: a later one that did its work, and how often the same error was seen."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.db.models import Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import moment, number
from database import clock
from database.messages import english_of
from maintenance.explanations.cause import Cause
from maintenance.models import JobRun
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.statuses import FAILURES, Status

# How far back the same error is looked for, and in how many failures of the job at most.
SEEN_WITHIN: Final = timedelta(days=30)
SEEN_AMONG: Final = 200
# Numbers, addresses and keys differ from one to the next.
_VARYING: Final = re.compile(r"0x[0-9a-f]+|\d+")


def afterwards(run: JobRun) -> list[Cause]:
    """Return whether a later run of the same kind did the work, and how often the same error was seen."""
    return [*_later(run), *_seen(run)]


def _same_kind(run: JobRun) -> JobRunQuerySet:
    same = JobRun.objects.filter(job=run.job, dry_run=run.dry_run)
    return same.filter(schedule=run.schedule_id) if run.schedule_id else same.filter(params=run.params)


def _later(run: JobRun) -> list[Cause]:
    later = _same_kind(run).filter(pk__gt=run.pk).order_by("pk").values("pk")
    succeeded, failed = later.filter(status=Status.SUCCEEDED), later.filter(status__in=FAILURES)
    found = JobRun.objects.filter(pk=Coalesce(Subquery(succeeded[:1]), Subquery(failed[:1]))).first()
    if found is None:
        return []
    told = {"id": found.pk, "time": moment(found.finished_at)}
    if found.status == Status.SUCCEEDED:
        return [
            Cause("recovered", _("Recovered by #%(id)s, which succeeded at %(time)s.") % told, about=found)
        ]
    return [Cause("failed_again", _("The next run, #%(id)s at %(time)s, failed too.") % told, about=found)]


def _seen(run: JobRun) -> list[Cause]:
    """Return how often the error was seen, if more than once."""
    error = _fingerprint(run)
    if not error:
        return []
    recent = JobRun.objects.filter(
        job=run.job, status__in=FAILURES, dry_run=run.dry_run, queued_at__gte=clock.now() - SEEN_WITHIN
    )
    fields = ("queued_at", "message", "message_parts", "error", "error_parts")
    alike = _alike(recent.only(*fields).order_by("-pk")[:SEEN_AMONG], error)
    if len(alike) < 2:
        return []
    text = ngettext(
        "The same error was seen %(number)s time since %(time)s.",
        "The same error was seen %(number)s times since %(time)s.",
        len(alike),
    )
    since = moment(min(one.queued_at for one in alike))
    return [Cause("seen", text % {"number": number(len(alike)), "time": since})]


def _alike(runs: Iterable[JobRun], error: str) -> list[JobRun]:
    return [one for one in runs if _fingerprint(one) == error]


def _fingerprint(run: JobRun) -> str:
    """Return the error without what varies, or the message of a run that has no error."""
    return _VARYING.sub("#", english_of(run.error or run.message)).strip()
