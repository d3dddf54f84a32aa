"""What a run's schedule set instead of what its job declares."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from maintenance.explanations.cause import Cause
from maintenance.models import JobRun


def limits_of(run: JobRun) -> list[Cause]:
    """Return what the run's schedule set instead of what its job declares."""
    causes = []
    if run.retries is not None:
        text = ngettext(
            "Its schedule allows %(number)s retry, whatever the job declares.",
            "Its schedule allows %(number)s retries, whatever the job declares.",
            run.retries,
        )
        causes.append(Cause("own_retries", text % {"number": run.retries}))
    if run.time_limit_seconds is not None:
        text = _("Its schedule sets a time limit of %(seconds)s s, whatever the job declares.")
        causes.append(Cause("own_time_limit", text % {"seconds": run.time_limit_seconds}))
    return causes
