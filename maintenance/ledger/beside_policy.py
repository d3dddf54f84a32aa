"""What a purge with a retention of its own would do beside what the retention of its job would do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models.fields.json import KeyTextTransform

from maintenance.models import JobRun
from maintenance.purging.kept_plan import made_at, tables_of
from maintenance.retention import is_made_under, stored_retentions

# How many of the job's newest plans are looked at for one under its retention.
PLANS_READ: Final = 50


@dataclass(frozen=True)
class BesidePolicy:
    """The days that were asked for and those of the job, and what the newest plan under the latter would delete."""

    asked_days: int
    policy_days: int
    # None: no run has made such a plan lately.
    run: int | None = None
    rows: int = 0
    at: datetime | None = None


def beside_policy(run: JobRun) -> BesidePolicy | None:
    """Return it for a run that was asked to keep another number of days than its job; four queries."""
    asked = run.params.get("days")
    if type(asked) is not int:
        return None
    retention = stored_retentions().get(run.job)
    if retention is None or retention.days == asked:
        return None
    policy = retention.days
    plans = JobRun.objects.filter(job=run.job, plan__isnull=False).order_by("-pk")
    made_under = KeyTextTransform("retention", "plan")
    newest = plans.annotate(made_under=made_under).values_list("pk", "params", "made_under")[:PLANS_READ]
    key = next(
        (
            pk
            for pk, params, under in newest
            if "days" not in params and is_made_under({"retention": under}, retention)
        ),
        None,
    )
    if key is None:
        return BesidePolicy(asked, policy)
    plan = JobRun.objects.only("plan").get(pk=key).plan
    rows = sum(table.rows for table in tables_of(plan))
    return BesidePolicy(asked, policy, key, rows, made_at(plan))
