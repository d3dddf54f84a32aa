"""A run's page, its polls, and its buttons."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from adminkit import live
from adminkit.forms import ReasonForm
from database.messages import gettext
from database.text import row_key
from maintenance.admin import run_strip
from maintenance.admin.run_confirmation import run_url, shown
from maintenance.admin.run_figures import count_name, time_left
from maintenance.ledger import decisions, interventions, run_json
from maintenance.models import JobRun, RunLogLine
from maintenance.purging.plan import differences
from maintenance.registry import InvalidParams, Job, UnknownJob, get_job, job_title
from maintenance.scheduling import schedules
from scraping.models import ScrapeSession

# A run's page shows the end of a long log.
LOG_LINES_SHOWN = 500
SESSIONS_SHOWN = 50
# The parts of a run's page that polls update, and those that only change at its end.
LIVE_PARTS: tuple[str, ...] = ("maintenance/_run_facts.html", "maintenance/_run_sessions.html")
LIVE_PARTS_AT_THE_END = (
    "maintenance/_run_tools.html",
    "maintenance/_run_decision.html",
    "maintenance/_run_counts.html",
    "maintenance/_run_error.html",
    "maintenance/_run_plan.html",
)


class RunViews(admin.ModelAdmin):
    """The pages of one run, for the runs' admin."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show progress, facts and log."""
        run = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if run is not None and self.has_view_permission(request, run):
            lines = list(run.log_lines.order_by("-pk")[:LOG_LINES_SHOWN])[::-1]
            latest = run_strip.latest_runs([run.job], request.user)[run.job]
            context = {
                **self._run_context(request, run, lines, after=0),
                "title": f"{job_title(run.job)} #{run.pk}",
                "subtitle": None,
                "is_log_cut": len(lines) == LOG_LINES_SHOWN,
                "strip": run_strip.drawing(latest, job_title(run.job)),
            }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _run_context(
        self, request: HttpRequest, run: JobRun, lines: list[RunLogLine], *, after: int
    ) -> dict[str, Any]:
        user = request.user
        try:
            job: Job | None = get_job(run.job)
        except UnknownJob:
            job = None
        params = _params_again(run, job)
        schedule = schedules.for_job(run.job)
        tables = decisions.plan_of(run)
        may_run = job is not None and params is not None and job.may_run(user, params)
        return {
            "plan": shown(tables, user),
            "planned_rows": sum(table.rows for table in tables),
            "differences": [] if run.dry_run else differences((run.mandate or {}).get("rows"), tables),
            "run_plan_url": run_url(job, {**(params or {}), "plan": run.pk})
            if job and may_run and decisions.is_fresh_plan(run)
            else None,
            "decisions": [
                {"event": event, "text": decisions.in_words(event)}
                for event in decisions.decisions_about(run)
            ],
            "run": run,
            "job": job,
            "sessions": _sessions(run, user),
            "log_lines": lines,
            "last_line": lines[-1].pk if lines else after,
            "counts": [(count_name(name), number) for name, number in run.counts.items()],
            "totals": [(count_name(name), number) for name, number in run_json.totals(run).items()]
            if run.retry_of_id
            else [],
            "seconds_left": time_left(run),
            "next_attempt": JobRun.objects.filter(retry_of=run).only("pk").first(),
            "run_again_url": run_url(job, params) if job and may_run else None,
            "schedule": schedule if user.has_perm("django_celery_beat.view_periodictask") else None,
            "may_cancel": not run.is_final
            and run.status != JobRun.Status.BLOCKED
            and run.cancel_requested_at is None
            and user.has_perm("maintenance.cancel_jobrun"),
            "may_force_stop": run.may_be_forced and user.has_perm("maintenance.cancel_jobrun"),
            "may_approve": run.status == JobRun.Status.BLOCKED and user.has_perm("maintenance.approve_run"),
        }

    def get_urls(self) -> list[URLPattern]:
        """Add the live fragment and the buttons."""
        own = self.admin_site.admin_view
        return [
            path("<int:pk>/live/", own(self.live_view), name="maintenance_jobrun_live"),
            path("<int:pk>/cancel/", own(self.cancel_view), name="maintenance_jobrun_cancel"),
            path("<int:pk>/force-stop/", own(self.force_stop_view), name="maintenance_jobrun_force_stop"),
            path(
                "<int:pk>/approve/",
                own(self.decide_view),
                {"approve": True},
                name="maintenance_jobrun_approve",
            ),
            path(
                "<int:pk>/reject/",
                own(self.decide_view),
                {"approve": False},
                name="maintenance_jobrun_reject",
            ),
            *super().get_urls(),
        ]

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer a poll: what changed since version ``v``, and the log lines after the line ``after``.

        The answer for a run that has ended stops the polling.
        """
        run = self._visible(request, pk)
        last = row_key(request.GET.get("after", ""))
        lines = list(run.log_lines.filter(pk__gt=last).order_by("pk")[:LOG_LINES_SHOWN])
        is_over = run.is_final or run.status == JobRun.Status.BLOCKED
        return live.answer(
            request,
            "maintenance/_live.html",
            main="maintenance/_run_status.html",
            parts=LIVE_PARTS + (LIVE_PARTS_AT_THE_END if is_over else ()),
            context=self._run_context(request, run, lines, after=last),
            has_news=bool(lines),
        )

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel a queued run, or ask a running one to stop."""
        run = self._visible(request, pk)
        if not request.user.has_perm("maintenance.cancel_jobrun"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            interventions.cancel_run(run, by=request.user)
        except interventions.NotPossible as error:
            messages.warning(request, str(error))
        else:
            messages.success(request, gettext("Run #%(id)s is being cancelled.") % {"id": run.pk})
        return self._to(run)

    def force_stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Kill the process of a run that was cancelled and does not stop."""
        run = self._visible(request, pk)
        if not request.user.has_perm("maintenance.cancel_jobrun"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            interventions.force_stop_run(run, by=request.user)
        except interventions.NotPossible as error:
            messages.warning(request, str(error))
        else:
            messages.success(request, gettext("Run #%(id)s is being stopped by force.") % {"id": run.pk})
        return self._to(run)

    def decide_view(self, request: HttpRequest, pk: int, *, approve: bool) -> HttpResponse:
        """Approve or reject a run that the safety cap has stopped."""
        run = self._visible(request, pk)
        if not request.user.has_perm("maintenance.approve_run"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = ReasonForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Give a reason."))
            return self._to(run)
        reason = form.cleaned_data["reason"]
        try:
            if approve:
                interventions.approve_run(
                    run, by=request.user, reason=reason, plan_at=request.POST.get("plan_at")
                )
            else:
                interventions.reject_run(run, by=request.user, reason=reason)
        except interventions.NotPossible as error:
            messages.warning(request, str(error))
        return self._to(run)

    def _visible(self, request: HttpRequest, pk: int) -> JobRun:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run: JobRun | None = self.get_object(request, str(pk))
        if run is None:
            raise Http404
        return run

    def _to(self, run: JobRun) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:maintenance_jobrun_change", args=[run.pk]))


def _params_again(run: JobRun, job: Job | None) -> dict[str, Any] | None:
    """Return the parameters to request the run again; None: its job is gone, or does not accept them any more."""
    if job is None:
        return None
    try:
        return job.clean({name: value for name, value in run.params.items() if name in job.params})
    except InvalidParams:
        return None


def _sessions(run: JobRun, user: Any) -> QuerySet[ScrapeSession]:
    """Return the first scrape sessions of the run that the user may see."""
    if not user.has_perm("scraping.view_scrapesession"):
        return ScrapeSession.objects.none()
    return ScrapeSession.objects.visible_to(user).filter(run=run).order_by("pk")[:SESSIONS_SHOWN]
