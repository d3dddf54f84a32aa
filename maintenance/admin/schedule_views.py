"""The pages behind a schedule's buttons: preview, pause, resume, reset, keep, create the default."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_celery_beat.models import PeriodicTask

from adminkit.admin_classes import holding_for_edit
from database import clock, zones
from database.messages import gettext
from maintenance.admin.pause_form import PauseForm
from maintenance.admin.schedule_forms import CrontabForm
from maintenance.registry import UnknownJob, get_job
from maintenance.scheduling import edits, schedules, seeding
from maintenance.scheduling.preview import preview
from maintenance.scheduling.reading import read


class ScheduleViews(admin.ModelAdmin):
    """The views; they change schedules through ``edits``, which checks, writes events and notifies beat."""

    def get_urls(self) -> list[URLPattern]:
        """Add the preview and the buttons' pages."""
        own = self.admin_site.admin_view
        return [
            path("preview/", own(self.preview_view), name="maintenance_schedule_preview"),
            path("<int:pk>/pause/", own(self.pause_view), name="maintenance_schedule_pause"),
            path("<int:pk>/resume/", own(self.resume_view), name="maintenance_schedule_resume"),
            path("<int:pk>/reset/", own(self.reset_view), name="maintenance_schedule_reset"),
            path("<int:pk>/keep/", own(self.keep_view), name="maintenance_schedule_keep"),
            path("default/<slug:slug>/", own(self.default_view), name="maintenance_schedule_default"),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with a fragment: what the crontab in the query string would do."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        form = CrontabForm(request.GET)
        context: dict[str, Any] = {"form": form}
        if form.is_valid():
            crontab, zone = form.cleaned_data["crontab"], ZoneInfo(form.cleaned_data["timezone"])
            schedule = request.GET.get("schedule", "")
            task = self.get_object(request, schedule) if schedule else None
            context |= vars(preview(crontab, zone, task=task, now=clock.now()))
        return render(request, "maintenance/_preview.html", context)

    def pause_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the reason; pause with it.

        The switches in the lists post here without a reason, which only opens the page.
        """
        with holding_for_edit(request, self._changeable(request, pk)):
            return self._pause_page(request, self._changeable(request, pk))

    def _pause_page(self, request: HttpRequest, task: PeriodicTask) -> HttpResponse:
        is_answer = request.method == "POST" and "reason" in request.POST
        control = schedules.control_of(task)
        paused = not task.enabled
        stored = {
            "reason": control.pause_reason if paused else "",
            "until": control.paused_until if paused else None,
        }
        form = PauseForm(
            request.POST if is_answer else None,
            initial=stored,
            stored={"is_paused": paused, **stored},
            zone=zones.find(read(task).zone),
        )
        if is_answer and form.is_valid():
            edits.pause(
                task, by=request.user, reason=form.cleaned_data["reason"], until=form.cleaned_data["until"]
            )
            messages.success(request, gettext("%(name)s is paused.") % {"name": schedules.title(task)})
            return self._back(request)
        return render(
            request,
            "maintenance/pause.html",
            {
                **self.admin_site.each_context(request),
                "title": (
                    gettext("Pause “%(name)s”?")
                    if task.enabled
                    else gettext("Change the pause of “%(name)s”?")
                )
                % {"name": schedules.title(task)},
                "schedule": task,
                "form": form,
                "next": request.POST.get("next", ""),
            },
        )

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Resume from the next slot on."""
        task = self._changeable(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        was_paused = not task.enabled
        edits.resume(task, by=request.user)
        done = gettext("%(name)s is active again.") if was_paused else gettext("%(name)s is active already.")
        messages.success(request, done % {"name": schedules.title(task)})
        return self._back(request)

    def reset_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put the job's default crontab back."""
        return self._decide(request, pk, edits.reset, gettext("%(name)s is back on its default."))

    def keep_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep the schedule although its default has changed."""
        return self._decide(request, pk, edits.keep, gettext("%(name)s stays as it is."))

    def default_view(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Create the default schedule of a job that has none."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            task = seeding.create_default(get_job(slug), by=request.user)
        except UnknownJob as error:
            raise Http404(str(error)) from None
        except ValueError as error:
            messages.error(request, str(error))
            return self._back(request)
        if task is not None:
            messages.success(
                request, gettext("%(name)s has its default schedule.") % {"name": schedules.title(task)}
            )
        return self._back(request)

    def _decide(self, request: HttpRequest, pk: int, verb: Callable[..., None], done: str) -> HttpResponse:
        task = self._changeable(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            verb(task, by=request.user)
        except ValueError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done % {"name": schedules.title(task)})
        return HttpResponseRedirect(reverse("admin:django_celery_beat_periodictask_change", args=[task.pk]))

    def _changeable(self, request: HttpRequest, pk: int) -> PeriodicTask:
        task: PeriodicTask | None = self.get_object(request, str(pk))
        if not self.has_change_permission(request, task):
            raise PermissionDenied
        if task is None:
            raise Http404
        return task

    def _back(self, request: HttpRequest) -> HttpResponse:
        target = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
            target = reverse("admin:django_celery_beat_periodictask_changelist")
        return HttpResponseRedirect(target)
