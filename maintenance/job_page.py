"""The page that asks before a job is run: what it does, and what it would delete right now."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from maintenance import runs, schedules
from maintenance.models import JobRun
from maintenance.registry import InvalidParams, Job, UnknownJob, get_job, may_run_jobs
from scraping.models import BotConfig


def run_url(job: Job, params: dict[str, Any] | None = None) -> str:
    """Return the address of the job's page, its parameters in the query string."""
    url = reverse("admin:maintenance_job_run", args=[job.slug])
    return f"{url}?{urlencode(params)}" if params else url


def job_run(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what a run would do (GET, which starts nothing); request it (POST).

    The parameters stand in the query string either way. The caller wraps this in ``admin_view``; the job
    itself says who may run it with these parameters.
    """
    try:
        job = get_job(slug)
    except UnknownJob as error:
        raise Http404(str(error)) from None
    try:
        params = job.clean(request.GET.dict())
    except InvalidParams as error:
        # Without good parameters the job cannot say who may run it: the model permission decides who is told.
        if not may_run_jobs(request.user, {}):
            raise PermissionDenied from None
        return _page(request, job, {"errors": error.messages}, status=400)
    if not job.may_run(request.user, params):
        raise PermissionDenied
    if request.method == "POST":
        return _request(request, job, params)
    plan = runs.preview(slug, params)
    earlier = JobRun.objects.open().filter(concurrency_key=job.concurrency_key(params)).order_by("pk").first()
    return _page(
        request,
        job,
        {
            "plan": plan,
            "planned_rows": sum(row.rows for row in plan),
            "retention_days": params.get("days") or runs.retention_days(job),
            "earlier": earlier,
            "bot": BotConfig.objects.filter(pk=params["config"]).first() if "config" in params else None,
        },
    )


def _page(request: HttpRequest, job: Job, context: dict[str, Any], *, status: int = 200) -> TemplateResponse:
    return TemplateResponse(
        request,
        "maintenance/run_confirmation.html",
        {
            **admin.site.each_context(request),
            "title": _("Run “%(job)s” now?") % {"job": job.title},
            "job": job,
            "schedule": schedules.for_job(job.slug),
            **context,
        },
        status=status,
    )


def _request(request: HttpRequest, job: Job, params: dict[str, Any]) -> HttpResponse:
    run = runs.request_run(
        job=job.slug,
        trigger=JobRun.Trigger.ADMIN,
        by=request.user,
        dry_run="dry_run" in request.POST,
        params=params,
    )
    admin.site.get_model_admin(JobRun).log_addition(
        request, run, _("Dry run requested.") if run.dry_run else _("Run requested.")
    )
    messages.success(request, _("%(job)s is queued as run #%(id)s.") % {"job": job.title, "id": run.pk})
    return HttpResponseRedirect(reverse("admin:maintenance_jobrun_change", args=[run.pk]))
