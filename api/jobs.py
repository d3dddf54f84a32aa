"""The jobs, and requests to run them."""

from typing import Annotated, Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema

from accounts.models import Scope
from api.answers import CHANGES, ERRORS, Key, caller
from api.auth import RUN, require_scope
from api.idempotency import KeyHeader, started
from api.problems import Problem
from api.runs import Run
from maintenance.ledger.decisions import shown_by_run
from maintenance.ledger.requests import request_run
from maintenance.models import JobRun
from maintenance.registry import Job, UnknownJob, get_job, jobs

router = Router(tags=["jobs"])


class JobOut(Schema):
    """A job: what it does, its default schedule, and its parameters."""

    slug: str
    summary: str
    crontab: str | None
    retention_days: int | None
    params: list[str]
    required: list[str]


class RunIn(Schema):
    """What to run. ``plan``: the id of a dry run that the run is to follow. ``force`` lifts the cap, with a reason."""

    dry_run: bool = False
    params: dict[str, Any] = {}
    plan: Key | None = None
    force: bool = False
    reason: Annotated[str, Field(max_length=500)] = ""


@router.get("jobs/", response={200: list[JobOut], **ERRORS}, summary="All jobs")
def list_jobs(request: HttpRequest) -> list[dict[str, Any]]:
    """Return every job."""
    return [
        {
            "slug": job.slug,
            "summary": job.english_summary,
            "crontab": job.crontab,
            "retention_days": job.retention_days,
            "params": list(job.params),
            "required": [job.concurrent_by] if job.concurrent_by else [],
        }
        for job in jobs()
    ]


@router.post("jobs/{str:slug}/run", auth=RUN, response={202: Run, **CHANGES}, summary="Run a job")
def run_job(
    request: HttpRequest, response: HttpResponse, slug: str, body: RunIn, idempotency_key: KeyHeader = None
) -> Any:
    """Request a run; 202 with the run, which a worker performs."""
    user = caller(request)
    if body.force:
        # It lifts the cap, as an approval does.
        require_scope(request, Scope.APPROVE)
    return started(request, response, idempotency_key, lambda: _requested(slug, body, user))[0]


def _requested(slug: str, body: RunIn, user: User) -> JobRun:
    try:
        job = get_job(slug)
    except UnknownJob:
        raise Problem(404) from None
    if body.force != bool(body.reason.strip()):
        raise Problem(422, detail="force needs a reason, and a reason is only for force.")
    require_visible(job, body.params, user)
    shown = None
    if body.plan is not None:
        if not JobRun.objects.visible_to(user).filter(pk=body.plan).exists():
            raise Problem(422, detail="The plan is no dry run of this job with these parameters.")
        shown = shown_by_run(body.plan, job=slug, params=body.params)
    return request_run(
        job=slug,
        trigger=JobRun.Trigger.API,
        by=user,
        dry_run=body.dry_run,
        params=body.params,
        shown=shown,
        force_reason=body.reason.strip(),
    )


def require_visible(job: Job, params: dict[str, Any], user: User) -> None:
    """Answer 404 if a parameter names a row that is missing or that the person does not see, alike."""
    for name, model in job.refers_to.items():
        if name not in params:
            continue
        try:
            key = job.params[name](params[name])
        except (ValidationError, ValueError, TypeError, OverflowError):
            raise Problem(404) from None
        rows: Any = model._default_manager
        if not rows.visible_to(user).filter(pk=key).exists():
            raise Problem(404)
