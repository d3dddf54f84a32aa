"""A run as JSON, for the API and ``--json``."""

from datetime import datetime
from typing import Any

from database.messages import SUFFIX, english_of, parts_of
from maintenance.models import JobRun
from maintenance.purging.interface import GONE


def would_do(run: JobRun) -> str | None:
    """Return what a real run would do after this dry run: ``run`` or ``block``; None for a real run."""
    if not run.dry_run or run.status != JobRun.Status.SUCCEEDED:
        return None
    return str((run.plan or {}).get("would", "run"))


def totals(run: JobRun) -> dict[str, int]:
    """Return the rows that a run has deleted in all its attempts up to this one, by label."""
    gone = run.cursor.get(GONE) if isinstance(run.cursor, dict) else None
    return dict(gone) if isinstance(gone, dict) else {}


def rows_gone(run: JobRun) -> int:
    """Return how many rows a run has deleted in all its attempts up to this one."""
    return sum(rows for rows in totals(run).values() if type(rows) is int)


def as_json(run: JobRun) -> dict[str, Any]:
    """Return the run as the API and ``--json`` show it; times are ISO 8601, durations seconds, texts English.

    A text that has a code is followed by its parts: the code and the parameters.
    """

    def iso(moment: datetime | None) -> str | None:
        return moment.isoformat() if moment else None

    return {
        "id": run.pk,
        "job": run.job,
        "status": run.status,
        "reason": run.reason,
        "trigger": run.trigger,
        "requested_by": run.requested_by_name or None,
        "schedule": run.schedule_name or None,
        "scheduled_for": iso(run.scheduled_for),
        "dry_run": run.dry_run,
        "params": run.params,
        "queued_at": iso(run.queued_at),
        "not_before": iso(run.not_before),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "waiting_since": iso(run.waiting_since) if run.status == JobRun.Status.BLOCKED else None,
        "duration_seconds": run.duration.total_seconds() if run.duration is not None else None,
        "worker": run.worker or None,
        "attempt": run.attempt,
        "retry_of": run.retry_of_id,
        "progress": {
            "done": run.progress_done,
            "total": run.progress_total,
            **_text("stage", run.stage),
        },
        "counts": run.counts,
        "plan": run.plan,
        "would": would_do(run),
        "mandate": run.mandate,
        "totals": totals(run),
        **_text("message", run.message),
        **_text("error", run.error),
    }


def _text(name: str, text: str) -> dict[str, Any]:
    return {name: english_of(text), name + SUFFIX: parts_of(text)}
