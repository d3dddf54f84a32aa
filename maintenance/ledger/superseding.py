"""A run that waits for a person is overtaken by a newer one of the same job with the same parameters.

Else it would have to be decided before anything of its job went on, and of two plans the older would be looked at.
"""

from django.db import transaction

from database.messages import gettext as _
from maintenance.ledger import decisions
from maintenance.models import JobRun


def supersede_blocked(run: JobRun) -> None:
    """End the older blocked runs in whose place this real run stands, now that it has made its own plan.

    A dry run supersedes nothing, nor does one with other parameters: that does other work.
    """
    if run.dry_run:
        return
    older = JobRun.objects.blocked().filter(job=run.job, dry_run=False, pk__lt=run.pk)
    for waiting in [one for one in older if one.params == run.params]:
        with transaction.atomic():
            if run.supersede(waiting, message=_("Superseded by #%(id)s.") % {"id": run.pk}):
                decisions.record_decision(decisions.SUPERSEDED, waiting)
