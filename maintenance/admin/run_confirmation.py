"""The page that asks for confirmation before a job runs: what it does, and what it would delete now."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from accounts.models import IdempotencyKey
from database.deadlines import Superseded
from database.messages import from_json
from maintenance.admin import last_plans
from maintenance.failed_parts import FAILED_IN, bots_wanted
from maintenance.ledger import decisions, performing, requests
from maintenance.models import JobRun
from maintenance.purging import mandate as mandates
from maintenance.purging.plan import TablePlan
from maintenance.registry import InvalidParams, Job, UnknownJob, get_job, may_run_jobs
from maintenance.retention import overrides_of
from maintenance.scheduling import schedules
from scraping.models import BotConfig

# The shown plan is in the form, signed; the run is always planned again before it deletes.
SALT = "maintenance.purging.plan"
# In the query string: make a new plan, however long that takes.
NEW = "new_plan"
# Each page has its own, in its form: a second click on its button starts no second run.
KEY = re.compile(r"[A-Za-z0-9_-]{22}")


def run_url(job: Job, params: dict[str, Any] | None = None) -> str:
    """Return the address of the job's page, its parameters in the query string."""
    url = reverse("admin:maintenance_job_run", args=[job.slug])
    texts = {name: ",".join(v) if isinstance(v, list) else v for name, v in (params or {}).items()}
    return f"{url}?{urlencode(texts)}" if texts else url


def job_run(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what a run would do (GET, which starts nothing); request it (POST).

    The parameters are in the query string either way. The caller wraps this in ``admin_view``; the job itself
    decides who may run it with these parameters.
    """
    try:
        job = get_job(slug)
    except UnknownJob as error:
        raise Http404(str(error)) from None
    given = request.GET.dict()
    plan_id, is_asked = given.pop("plan", None), given.pop(NEW, None) is not None
    try:
        params = job.clean(given)
    except InvalidParams as error:
        # With invalid parameters the job cannot decide who may run it: the model permission decides who sees the error.
        if not may_run_jobs(request.user, {}):
            # The same answer as for somebody else's bot, so that it does not reveal which bots exist.
            raise PermissionDenied(job.refusal) from None
        return _page(request, job, {"errors": error.messages}, status=400)
    job.require(request.user, params)
    try:
        if request.method == "POST":
            return _request(request, job, params)
        requests.refuse_paused(job)
        seen, is_fresh = _plan(request, job, params, plan_id, is_asked=is_asked)
    except InvalidParams as error:
        again = run_url(job, params)
        return _page(request, job, {"errors": error.messages, "again_url": again}, status=400)
    except Superseded:
        return HttpResponse(status=204)
    context = {"new_plan_url": run_url(job, {**params, NEW: 1}), "is_fresh": is_fresh}
    context |= _of_plan(request, job, params, seen, plan_id) if seen else {}
    if is_asked and request.headers.get("HX-Request"):
        return render(request, "maintenance/_run_question.html", {"job": job, **context})
    earlier = JobRun.objects.open().filter(concurrency_key=job.concurrency_key(params)).order_by("pk").first()
    bot = BotConfig.objects.filter(pk=params["config"]).first() if "config" in params else None
    context |= {"earlier": earlier, "bot": bot, "subreddits": params.get("subreddits")}
    if FAILED_IN in params:
        bots, parts = bots_wanted(params)
        context["failed"] = {
            "run": params[FAILED_IN],
            "bots": len(bots),
            "subreddits": sum(len(parts[one.pk]) for one in bots),
        }
    return _page(request, job, context)


def _of_plan(
    request: HttpRequest, job: Job, params: dict[str, Any], seen: performing.Preview, plan_id: str | None
) -> dict[str, Any]:
    """Return the page's context for a plan, and the plan for the form."""
    named = mandates.shown(seen.plan, run=int(plan_id) if plan_id else None)
    return {
        "plan": shown(seen.tables, request.user),
        "planned_rows": sum(table.rows for table in seen.tables),
        "would_wait_for": seen.would_wait_for,
        "plan_id": plan_id,
        # An older one is a sight, until the new one is there: no run may refer to it.
        "may_refer": bool(plan_id) or decisions.is_fresh(seen.plan["at"]),
        "plan_token": signing.dumps([job.slug, params, named], salt=SALT, compress=True),
        "plan_at": datetime.fromisoformat(seen.plan["at"]),
        "retention_days": retention.days if (retention := job.retention(params)) else None,
        "overrides": overrides_of(job),
    }


def _plan(
    request: HttpRequest, job: Job, params: dict[str, Any], plan_id: str | None, *, is_asked: bool
) -> tuple[performing.Preview | None, bool]:
    """Return the plan of the named dry run, else a new or the last one; and whether that plan is complete."""
    if plan_id is None and is_asked:
        return last_plans.made_now(job, params, by=request.user), True
    if plan_id is None:
        return last_plans.at_once(job, params)
    decisions.shown_by_run(plan_id, job=job.slug, params=params)  # refuses plans of other jobs or parameters
    run = JobRun.objects.get(pk=plan_id)
    assert run.plan is not None
    return performing.Preview(run.plan, decisions.plan_of(run), from_json(run.plan, "why") or []), True


@dataclass(frozen=True)
class ShownPlan:
    """A plan in the form that a page shows."""

    tables: Sequence[TablePlan]
    # Rows by month, oldest first: ("2026-01", [of the first table, of the second, …])
    months: Sequence[tuple[str, list[int]]]
    # Sample rows that are still there: (when, what, address or None)
    sample: Sequence[tuple[datetime, str, str | None]]


def shown(tables: Sequence[TablePlan], user: User | AnonymousUser) -> ShownPlan | None:
    """Return the plan with those sample rows that the user may see; None: nothing is planned."""
    if not tables:
        return None
    months = sorted({month for table in tables for month in table.by_month})
    return ShownPlan(
        tables=tables,
        months=[(month, [table.by_month.get(month, 0) for table in tables]) for month in months],
        sample=[row for table in tables for row in _sample(table, user)],
    )


def _sample(table: TablePlan, user: User | AnonymousUser) -> list[tuple[datetime, str, str | None]]:
    try:
        model = apps.get_model(table.model)
    except LookupError:
        return []
    app_label, name = model._meta.app_label, model._meta.model_name
    if not user.has_perm(f"{app_label}.view_{name}"):
        return []
    rows_of_model: Any = model._default_manager.all()
    # A plan is about the rows of everybody; the names of rows are for those who may see these.
    visible = rows_of_model.visible_to(user) if hasattr(rows_of_model, "visible_to") else rows_of_model
    found = visible.in_bulk([row.pk for row in table.sample if row.pk is not None])
    rows: list[tuple[datetime, str, str | None]] = []
    for row in table.sample:
        if row.pk in found:
            try:
                url: str | None = reverse(f"admin:{app_label}_{name}_change", args=[row.pk])
            except NoReverseMatch:
                url = None
            rows.append((datetime.fromisoformat(row.at), str(found[row.pk]), url))
    return rows


def _page(request: HttpRequest, job: Job, context: dict[str, Any], *, status: int = 200) -> TemplateResponse:
    return TemplateResponse(
        request,
        "maintenance/run_confirmation.html",
        {
            **admin.site.each_context(request),
            "title": _("Run “%(job)s” now?") % {"job": job.title},
            "job": job,
            "schedule": schedules.for_job(job.slug),
            "key": secrets.token_urlsafe(16),
            **context,
        },
        status=status,
    )


def _request(request: HttpRequest, job: Job, params: dict[str, Any]) -> HttpResponse:
    dry_run = "dry_run" in request.POST
    with transaction.atomic():
        kept = _key_of_page(request, dry_run=dry_run)
        started = kept and kept.run_id and JobRun.objects.filter(pk=kept.run_id).first()
        run = started or requests.request_run(
            job=job.slug,
            trigger=JobRun.Trigger.ADMIN,
            by=request.user,
            dry_run=dry_run,
            params=params,
            shown=None if dry_run else _seen(request, job, params),
        )
        if kept is not None and not started:
            kept.answer(run_id=run.pk, status=302, body="")
    told = {"job": job.title, "id": run.pk}
    if not started:
        messages.success(request, _("%(job)s is queued as run #%(id)s.") % told)
    else:
        # A second click, or the page again by the browser's back button.
        again = _(
            "That page has started run #%(id)s of %(job)s already. To start another one, open Run… again."
        )
        messages.info(request, again % told)
    return HttpResponseRedirect(reverse("admin:maintenance_jobrun_change", args=[run.pk]))


def _key_of_page(request: HttpRequest, *, dry_run: bool) -> IdempotencyKey | None:
    """Return the locked key of the page and its button, with the run that it has started; None: the form has no key."""
    key = request.POST.get("key", "")
    if not (KEY.fullmatch(key) and isinstance(request.user, User)):
        return None
    asked = hashlib.sha256(request.get_full_path().encode()).hexdigest()
    button = "dry" if dry_run else "run"
    return IdempotencyKey.take(user=request.user, key=f"page:{key}:{button}", fingerprint=asked)


def _seen(request: HttpRequest, job: Job, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the plan that the page has shown; None for a job that deletes nothing."""
    token = request.POST.get("plan")
    if not token:
        return None
    try:
        slug, planned_params, seen = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        raise InvalidParams({"plan": _("The plan cannot be read: look at it again.")}) from None
    if (slug, planned_params) != (job.slug, params):
        raise InvalidParams({"plan": _("The plan is of another job or other parameters: look at it again.")})
    return dict(seen) if seen["rows"] else None
