"""Shows what a run would do without delaying the page: the last plan is shown until a new one is made.

A plan that takes only a moment is on the page at once. One that takes longer follows as a fragment; meanwhile the page
shows the last plan, with its time. A person makes one plan of a job at a time: a new request cancels the previous one.
"""

import hashlib
import json
import time
from typing import Any

from django.core.cache import cache

from database.background import background_reads
from database.deadlines import TooSlow, superseding, within
from database.messages import from_json
from maintenance.ledger.performing import Preview, preview
from maintenance.purging.kept_plan import tables_of
from maintenance.purging.mandate import VALID
from maintenance.registry import Job, Person

# How long a page waits for a plan.
PATIENCE_SECONDS = 0.06


def at_once(job: Job, params: dict[str, Any]) -> tuple[Preview | None, bool]:
    """Return a new plan and True; if that takes too long, the last plan, if there is one, and False."""
    kept = cache.get(_key(job, params))
    last, seconds = _read(kept) if kept else (None, 0.0)
    if seconds <= PATIENCE_SECONDS:
        try:
            with within(PATIENCE_SECONDS), background_reads():  # all of it in one block
                return preview(job.slug, params), True
        except TooSlow:
            pass
    return last, False


def made_now(job: Job, params: dict[str, Any], *, by: Person) -> Preview:
    """Make a plan, however long it takes, and keep it for the next request.

    Raises:
        Superseded: the same person has requested a plan again.
    """
    started = time.monotonic()
    with superseding(f"plan of {job.slug} by {by.pk}"[:63]), background_reads():
        made = preview(job.slug, params)
    kept = {"plan": made.plan, "seconds": time.monotonic() - started}
    cache.set(_key(job, params), json.dumps(kept), VALID.total_seconds())
    return made


def _read(kept: str) -> tuple[Preview, float]:
    values = json.loads(kept)
    plan = values["plan"]
    return Preview(plan, tables_of(plan), from_json(plan, "why") or []), values["seconds"]


def _key(job: Job, params: dict[str, Any]) -> str:
    """Return a key that changes with the retention: a plan is only valid for the retention it was made under."""
    retention = job.retention(params)
    told = [job.slug, sorted(params.items()), retention.key() if retention else ""]
    return f"plan:{hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()}"
