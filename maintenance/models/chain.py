"""The attempts of one run: a chain of rows, each naming the one before it (``retry_of``), read with one query."""

from collections.abc import Collection
from typing import Final

from django.db import connection
from django.db.models.expressions import RawSQL

from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.runs import JobRun

# For each of some runs the attempts that follow it, itself included.
_FOLLOWING: Final = """
WITH RECURSIVE after_it(root, id, depth) AS (
    SELECT id, id, 0 FROM maintenance_jobrun WHERE id IN ({keys})
    UNION ALL
    SELECT after_it.root, run.id, after_it.depth + 1
    FROM maintenance_jobrun run JOIN after_it ON run.retry_of_id = after_it.id WHERE after_it.depth < {depth}
)
SELECT root, id FROM after_it ORDER BY root, depth
"""
_DEPTH_MAX: Final = 10_000
# UNION without ALL ends even if rows should name each other in a circle.
_CHAIN: Final = """
WITH RECURSIVE before_it(id, retry_of_id) AS (
    SELECT id, retry_of_id FROM maintenance_jobrun WHERE id = %s
    UNION
    SELECT run.id, run.retry_of_id FROM maintenance_jobrun run JOIN before_it ON run.id = before_it.retry_of_id
), after_it(id) AS (
    SELECT id FROM maintenance_jobrun WHERE id = %s
    UNION
    SELECT run.id FROM maintenance_jobrun run JOIN after_it ON run.retry_of_id = after_it.id
)
SELECT id FROM before_it UNION SELECT id FROM after_it
"""


def attempts_of(run: JobRun) -> JobRunQuerySet:
    """Return all attempts of which the run is one, itself included, the first one first.

    Attempts that were deleted with the history are missing, and so are those before them.
    """
    keys = RawSQL(_CHAIN, [run.pk, run.pk])  # noqa: S611  # a constant
    return JobRun.objects.filter(pk__in=keys).order_by("attempt", "pk")


def last_attempts(runs: Collection[JobRun], *fields: str) -> dict[int, JobRun]:
    """Return the last attempt that follows each of the runs, by the key of the run; where none does, the run itself.

    ``fields``: what is read of each attempt.
    """
    known = {run.pk: run for run in runs}
    if not known:
        return {}
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(known))
        cursor.execute(_FOLLOWING.format(keys=places, depth=_DEPTH_MAX), list(known))
        last = dict(cursor.fetchall())
    read = JobRun.objects.only(*fields).in_bulk([key for root, key in last.items() if key != root])
    return {key: read.get(last.get(key, key), run) for key, run in known.items()}


def attempts_before(run: JobRun) -> list[JobRun]:
    """Return the attempts before this one, the last one first, with status, reason and cursor only.

    The list ends where the history was deleted.
    """
    if run.retry_of_id is None:
        return []
    kept = {one.pk: one for one in attempts_of(run).only("status", "reason", "cursor", "retry_of")}
    found: list[JobRun] = []
    key: int | None = run.retry_of_id
    while key is not None and (earlier := kept.pop(key, None)) is not None:
        found.append(earlier)
        key = earlier.retry_of_id
    return found
