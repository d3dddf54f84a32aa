"""A run's page, its polls, and its buttons."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from adminkit import live
from adminkit.forms import OptionalReasonForm, ReasonForm
from database.messages import gettext
from database.text import row_key
from maintenance.admin import run_strip
from maintenance.admin.run_page import log_words, run_context
from maintenance.ledger import decisions, interventions, xray
from maintenance.ledger.run_log import as_text, lines_of
from maintenance.models import JobRun
from maintenance.names import name_bots, name_in_words
from maintenance.registry import job_title
from maintenance.yields.rows import rows_of

# A run's page shows the end of a long log.
LOG_LINES_SHOWN = 500
# The parts of a run's page that polls update, and those that only change at its end.
LIVE_PARTS: tuple[str, ...] = (
    "maintenance/_run_facts.html",
    "maintenance/_attempts.html",
    "maintenance/_run_sessions.html",
)
LIVE_PARTS_AT_THE_END = (
    "maintenance/_run_tools.html",
    "maintenance/_run_decision.html",
    "maintenance/_why.html",
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
            lines = list(lines_of(run, log_words(request)).reverse()[:LOG_LINES_SHOWN])[::-1]
            latest = run_strip.latest_runs([run.job], request.user)[run.job]
            context = {
                **run_context(request, run, lines, after=0),
                "title": f"{job_title(run.job)} #{run.pk}",
                "subtitle": run.bot.name if run.bot else None,
                "is_log_cut": len(lines) == LOG_LINES_SHOWN,
                "strip": run_strip.drawing(latest, job_title(run.job)),
            }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        """Add the live fragment and the buttons."""
        own = self.admin_site.admin_view
        return [
            path("<int:pk>/live/", own(self.live_view), name="maintenance_jobrun_live"),
            path("<int:pk>/log/", own(require_safe(self.log_view)), name="maintenance_jobrun_log"),
            path("<int:pk>/cancel/", own(self.cancel_view), name="maintenance_jobrun_cancel"),
            path("<int:pk>/x-ray/", own(self.xray_view), name="maintenance_jobrun_xray"),
            path(
                "<int:pk>/force-stop/",
                own(require_POST(self.force_stop_view)),
                name="maintenance_jobrun_force_stop",
            ),
            path(
                "<int:pk>/approve/",
                own(require_POST(self.decide_view)),
                {"approve": True},
                name="maintenance_jobrun_approve",
            ),
            path(
                "<int:pk>/reject/",
                own(require_POST(self.decide_view)),
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
        lines = list(lines_of(run, log_words(request)).filter(pk__gt=last)[:LOG_LINES_SHOWN])
        is_over = run.is_final or run.status == JobRun.Status.BLOCKED
        return live.answer(
            request,
            "maintenance/_live.html",
            main="maintenance/_run_status.html",
            parts=LIVE_PARTS + (LIVE_PARTS_AT_THE_END if is_over else ()),
            context=run_context(request, run, lines, after=last),
            has_news=bool(lines),
        )

    def log_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Send the log as a text file: all of it, or the lines that the reader has searched for."""
        run = self._visible(request, pk)
        pieces = as_text(run, log_words(request))
        name = f"run-{run.pk}-log.txt"
        return StreamingHttpResponse(
            pieces,
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": content_disposition_header(True, name) or "attachment"},
        )

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what cancelling will do (GET); cancel a queued run, or ask a running one to stop (POST)."""
        run = self._permitted(request, pk, "maintenance.cancel_jobrun")
        form = OptionalReasonForm(request.POST if request.method == "POST" else None)
        is_open = run.is_queued or run.is_running
        name_bots([run], request.user)
        # A run that has ended is refused below, whatever the reason is.
        if request.method != "POST" or (is_open and not form.is_valid()):
            return render(
                request,
                "maintenance/cancel.html",
                {
                    **self.admin_site.each_context(request),
                    "title": gettext("Cancel %(job)s #%(id)s?") % {"job": job_title(run.job), "id": run.pk},
                    "run": run,
                    "form": form,
                    "is_open": is_open,
                    "schedule_title": name_in_words(run.schedule_name),
                    "rows": rows_of(run),
                    "deletes": any("." in name for name in run.counts) or bool(decisions.plan_of(run)),
                },
            )
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        cancel = partial(interventions.cancel_run, run, by=request.user, reason=reason)
        return self._attempt(request, run, cancel, done=gettext("Run #%(id)s is being cancelled."))

    def force_stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Kill the process of a run that was cancelled and does not stop."""
        run = self._permitted(request, pk, "maintenance.cancel_jobrun")
        stop = partial(interventions.force_stop_run, run, by=request.user)
        return self._attempt(request, run, stop, done=gettext("Run #%(id)s is being stopped by force."))

    def xray_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what a running run does in the database now; with htmx, only the part that changes."""
        run = self._permitted(request, pk, "maintenance.cancel_jobrun")
        context = {"run": run, "xray": xray.look(run, by=request.user)}
        if request.headers.get("HX-Request"):
            return render(request, "maintenance/_xray.html", context)
        title = gettext("What #%(id)s does now") % {"id": run.pk}
        page = {**self.admin_site.each_context(request), **context, "title": title}
        return render(request, "maintenance/xray.html", page)

    def decide_view(self, request: HttpRequest, pk: int, *, approve: bool) -> HttpResponse:
        """Approve or reject a run that the safety cap has stopped."""
        run = self._permitted(request, pk, "maintenance.approve_run")
        form = ReasonForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Give a reason."))
            return self._to(run)
        decide = (
            partial(interventions.approve_run, plan_at=request.POST.get("plan_at"))
            if approve
            else interventions.reject_run
        )
        done = (
            gettext("Run #%(id)s was approved by %(name)s: it is queued, and deletes what its plan shows.")
            if approve
            else gettext(
                "Run #%(id)s was rejected by %(name)s: it ends without deleting what its plan shows."
            )
        )
        change = partial(decide, run, by=request.user, reason=form.cleaned_data["reason"])
        return self._attempt(request, run, change, done=done)

    def _permitted(self, request: HttpRequest, pk: int, permission: str) -> JobRun:
        run = self._visible(request, pk)
        if not request.user.has_perm(permission):
            raise PermissionDenied
        return run

    def _attempt(
        self, request: HttpRequest, run: JobRun, change: Callable[[], object], *, done: str = ""
    ) -> HttpResponse:
        """Make a change, say that it is ``done`` or why it is not possible, and return to the run's page."""
        try:
            change()
        except interventions.NotPossible as error:
            messages.warning(request, str(error))
        else:
            if done:
                messages.success(request, done % {"id": run.pk, "name": request.user.get_username()})
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
