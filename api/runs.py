"""Runs: read, follow, cancel, decide, repeat."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema

from api.answers import CHANGES, ERRORS, Key, Page, Paging, Reason, caller, iso, page, row, tagged
from api.auth import APPROVE, OPERATE, RUN
from api.idempotency import KeyHeader, started
from database.messages import english_of
from maintenance.ledger import interventions
from maintenance.ledger.run_json import as_json
from maintenance.models import JobRun, RunLogLine, statuses

router = Router(tags=["runs"])


class Progress(Schema, extra="allow"):
    """How far the run is."""

    done: int
    total: int | None
    stage: str


class Run(Schema, extra="allow"):
    """A run, as the commands print it with ``--json``."""

    id: int
    job: str
    status: str
    reason: str
    trigger: str
    requested_by: str | None
    schedule: str | None
    scheduled_for: str | None
    dry_run: bool
    params: dict[str, Any]
    queued_at: str
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    attempt: int
    retry_of: int | None
    progress: Progress
    message: str
    error: str


class RunFilters(Paging):
    """Which runs."""

    job: Annotated[str, Field(max_length=100, pattern="^[a-z0-9_]+$")] | None = None
    status: statuses.Status | None = None
    trigger: statuses.Trigger | None = None
    dry_run: bool | None = None
    schedule: Key | None = None


class Line(Schema):
    """One line of a log."""

    id: int
    at: datetime
    level: str
    text: str


class Log(Schema):
    """Lines, oldest first; send ``next`` as ``after`` for those that follow."""

    lines: list[Line]
    next: int
    is_final: bool


class After(Schema):
    """From where the log goes on."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 200


class Approval(Schema):
    """The reason, and the time of the plan that was seen: ``plan.at`` of the run."""

    reason: Reason
    plan_at: Annotated[str, Field(max_length=64)] | None = None


class Rejection(Schema):
    """The reason."""

    reason: Reason


@router.get("runs/", response={200: Page[Run], **ERRORS}, summary="Runs, newest first")
def list_runs(request: HttpRequest, filters: Query[RunFilters]) -> Any:
    """Return the runs that the caller may see."""
    rows = JobRun.objects.visible_to(caller(request)).defer("traceback")
    for name in ("job", "status", "trigger", "dry_run"):
        if (value := getattr(filters, name)) is not None:
            rows = rows.filter(**{name: value})
    if filters.schedule is not None:
        rows = rows.filter(schedule_id=filters.schedule)
    return page(rows, filters, lambda found: [as_json(run) for run in found])


@router.get("runs/{int:run_id}", response={200: Run, 304: None, **ERRORS}, summary="One run")
def get_run(request: HttpRequest, response: HttpResponse, run_id: int) -> Any:
    """Return a run."""
    return tagged(request, response, as_json(_run(request, run_id)))


@router.get("runs/{int:run_id}/log", response={200: Log, **ERRORS}, summary="The log of a run")
def run_log(request: HttpRequest, run_id: int, place: Query[After]) -> Any:
    """Return lines of the log after a line."""
    run = _run(request, run_id)
    lines = RunLogLine.objects.filter(run=run, pk__gt=place.after).order_by("pk")[: place.limit]
    told = [
        {"id": line.pk, "at": iso(line.at), "level": line.level, "text": english_of(line.text)}
        for line in lines
    ]
    return {"lines": told, "next": told[-1]["id"] if told else place.after, "is_final": run.is_final}


@router.post("runs/{int:run_id}/cancel", auth=OPERATE, response={200: Run, **CHANGES}, summary="Cancel a run")
def cancel_run(request: HttpRequest, run_id: int) -> Any:
    """Cancel a queued run at once, a running one at its next checkpoint; 409 for a run that is over."""
    run = _run(request, run_id)
    interventions.cancel_run(run, by=caller(request))
    return _again(run)


@router.post(
    "runs/{int:run_id}/approve", auth=APPROVE, response={200: Run, **CHANGES}, summary="Approve a blocked run"
)
def approve_run(request: HttpRequest, run_id: int, body: Approval) -> Any:
    """Let a blocked run delete what its plan shows."""
    run = _run(request, run_id)
    interventions.approve_run(run, by=caller(request), reason=body.reason, plan_at=body.plan_at)
    return _again(run)


@router.post(
    "runs/{int:run_id}/reject", auth=APPROVE, response={200: Run, **CHANGES}, summary="Reject a blocked run"
)
def reject_run(request: HttpRequest, run_id: int, body: Rejection) -> Any:
    """End a blocked run without its work."""
    run = _run(request, run_id)
    interventions.reject_run(run, by=caller(request), reason=body.reason)
    return _again(run)


@router.post("runs/{int:run_id}/retry", auth=RUN, response={202: Run, **CHANGES}, summary="Run it once more")
def retry_run(
    request: HttpRequest, response: HttpResponse, run_id: int, idempotency_key: KeyHeader = None
) -> Any:
    """Request another run of the same job with the same parameters; 409 while the first, or one like it, is not over."""
    run, user = _run(request, run_id), caller(request)

    def start() -> JobRun:
        return interventions.retry_run(run, by=user, trigger=JobRun.Trigger.API)

    return started(request, response, idempotency_key, start)[0]


def _run(request: HttpRequest, run_id: int) -> JobRun:
    run: JobRun = row(JobRun.objects.visible_to(caller(request)), run_id)
    return run


def _again(run: JobRun) -> dict[str, Any]:
    run.refresh_from_db()
    return as_json(run)
