"""Compares the schedules that ran since with what is usual: learns it anew, and judges their latest runs."""

from datetime import datetime, timedelta
from typing import Final

from database.messages import gettext as _
from maintenance.models import JobRun
from maintenance.yields.judging import judge
from maintenance.yields.learning import learn, schedules_that_ran
from scraping.progress import Progress

# The runs of so many schedules are read with one statement.
AT_ONCE: Final = 100
# Runs that ended so long before are read once more, because their transactions may have committed later.
SEEN_LATE: Final = timedelta(minutes=5)


def last_start(job: str) -> datetime | None:
    """Return when the job's latest run that succeeded began; None: there is none."""
    runs = JobRun.objects.filter(job=job, status=JobRun.Status.SUCCEEDED, dry_run=False)
    return runs.order_by("-pk").values_list("started_at", flat=True).first()


def compare_with_usual(progress: Progress, *, now: datetime, since: datetime | None) -> str:
    """Learn and judge the schedules that ran since; None: all of them. Return what was done, in words."""
    schedules = schedules_that_ran(since - SEEN_LATE if since else None)
    for done in range(0, len(schedules), AT_ONCE):
        progress.checkpoint()
        some = schedules[done : done + AT_ONCE]
        learn(some, now=now)
        judge(some, now=now)
        progress.report(done + len(some), len(schedules))
    return _("%(number)s schedules compared with what is usual") % {"number": len(schedules)}
