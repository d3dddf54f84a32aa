"""What a purge with a retention of its own would do beside what the retention of its job would do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from maintenance.models import JobRun, RetentionPolicy
from maintenance.purging.kept_plan import made_at, tables_of

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
    """Return it for a run that was asked to keep another number of days than its job; three queries."""
    asked = run.params.get("days")
    policy = RetentionPolicy.objects.filter(job=run.job).values_list("days", flat=True).first()
    if type(asked) is not int or policy is None or policy == asked:
        return None
    plans = JobRun.objects.filter(job=run.job, plan__isnull=False).order_by("-pk")
    newest = plans.values_list("pk", "params")[:PLANS_READ]
    key = next((pk for pk, params in newest if "days" not in params), None)
    if key is None:
        return BesidePolicy(asked, policy)
    plan = JobRun.objects.only("plan").get(pk=key).plan
    rows = sum(table.rows for table in tables_of(plan))
    return BesidePolicy(asked, policy, key, rows, made_at(plan))
