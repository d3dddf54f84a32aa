"""A blocked run is superseded by a newer run of the same job with the same parameters.

Otherwise the job could not continue before somebody decides, and that decision would be about the older of two plans.
"""

from django.db import transaction

from database.messages import gettext as _
from maintenance.ledger import decisions
from maintenance.models import JobRun


def supersede_blocked(run: JobRun) -> None:
    """End the older blocked runs that this real run replaces, now that it has made its own plan.

    A dry run supersedes nothing, nor does one with other parameters: that does other work.
    """
    if run.dry_run:
        return
    older = JobRun.objects.blocked().filter(job=run.job, dry_run=False, pk__lt=run.pk)
    for waiting in [one for one in older if one.params == run.params]:
        with transaction.atomic():
            if run.supersede(waiting, message=_("Superseded by #%(id)s.") % {"id": run.pk}):
                decisions.record_decision(decisions.SUPERSEDED, waiting)
