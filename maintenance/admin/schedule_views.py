"""The pages behind a schedule's buttons: preview, pause, resume, duplicate, reset, keep, create the default."""

import copy
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
from database.messages import gettext, ngettext
from maintenance import schedule_parts
from maintenance.admin.pause_form import PauseForm
from maintenance.admin.schedule_changes import caught_up_if_resumed
from maintenance.admin.schedule_forms import calendar_options
from maintenance.admin.schedule_hook import hook_page
from maintenance.admin.time_form import TimeForm
from maintenance.registry import UnknownJob, get_job
from maintenance.scheduling import creation, edits, schedules, seeding
from maintenance.scheduling.crontab import InvalidSchedule
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.preview import preview
from maintenance.scheduling.reading import read


class ScheduleViews(admin.ModelAdmin):
    """The views; they change schedules through ``edits``, which checks, writes events and notifies beat."""

    def get_urls(self) -> list[URLPattern]:
        """Add the preview and the buttons' pages."""
        own = self.admin_site.admin_view
        return [
            path("preview/", own(self.preview_view), name="maintenance_schedule_preview"),
            path("calendars/", own(self.calendars_view), name="maintenance_schedule_calendars"),
            path("<int:pk>/pause/", own(self.pause_view), name="maintenance_schedule_pause"),
            path("<int:pk>/resume/", own(self.resume_view), name="maintenance_schedule_resume"),
            path("<int:pk>/duplicate/", own(self.duplicate_view), name="maintenance_schedule_duplicate"),
            path("<int:pk>/reset/", own(self.reset_view), name="maintenance_schedule_reset"),
            path("<int:pk>/keep/", own(self.keep_view), name="maintenance_schedule_keep"),
            path("<int:pk>/address/", own(self.hook_view), name="maintenance_schedule_hook"),
            path("<int:pk>/part/<slug:name>/", own(self.part_view), name="maintenance_schedule_part"),
            path("default/<slug:slug>/", own(self.default_view), name="maintenance_schedule_default"),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with a fragment: what the time in the query string would do."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        schedule = request.GET.get("schedule", "")
        task = self.get_object(request, schedule) if schedule else None
        return render(request, "maintenance/_preview.html", self.preview_of(request.GET, task))

    def calendars_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the options of the choice of a calendar, with the parts of the chosen country."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return HttpResponse(calendar_options(request.GET.get("days_off", "")))

    def preview_of(self, data: Any, task: PeriodicTask | None) -> dict[str, Any]:
        """Return the context of the preview of what was typed: the form's errors, or the next times."""
        form = TimeForm(data)
        if task is not None:
            reading = read(task)
            form.show_time(task, reading.zone, is_usable=not reading.timing_fault)
        context: dict[str, Any] = {"form": form}
        if form.is_valid():
            typed = copy.copy(task) if task else PeriodicTask(enabled=True)
            typed.task = data.get("task") or typed.task
            context |= vars(
                preview(
                    form.cleaned_data["time"],
                    ZoneInfo(form.cleaned_data["timezone"]),
                    task=typed,
                    now=clock.now(),
                    reader_zone=zones.find(data.get("reader_zone", "")),
                    calendar=(data["days_off"][:20], "days_off_weekends" in data)
                    if "days_off" in data
                    else None,
                )
            )
        return context

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
        was_paused, caught_up = not task.enabled, caught_up_if_resumed(task, Modes())
        edits.resume(task, by=request.user)
        done = gettext("%(name)s is active again.") if was_paused else gettext("%(name)s is active already.")
        if was_paused and caught_up:
            done = ngettext(
                "%(name)s is active again, and catches up %(number)s slot of its pause.",
                "%(name)s is active again, and catches up %(number)s slots of its pause.",
                caught_up,
            )
        messages.success(request, done % {"name": schedules.title(task), "number": caught_up})
        return self._back(request)

    def duplicate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add a paused copy, and open it in the form."""
        task = self._changeable(request, pk)
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            copied = creation.duplicate(task, by=request.user)
        except InvalidSchedule as error:
            text = gettext("%(name)s cannot be copied: %(error)s")
            messages.error(request, text % {"name": schedules.title(task), "error": error})
            return self._back(request)
        text = gettext("This is a copy of “%(name)s”. It is paused: change it, then resume it.")
        messages.success(request, text % {"name": schedules.title(task)})
        return HttpResponseRedirect(reverse("admin:django_celery_beat_periodictask_change", args=[copied.pk]))

    def reset_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put the job's default crontab back."""
        return self._decide(request, pk, edits.reset, gettext("%(name)s is back on its default."))

    def keep_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep the schedule although its default has changed."""
        return self._decide(request, pk, edits.keep, gettext("%(name)s stays as it is."))

    def hook_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give the schedule an address that starts it, or take it away."""
        return hook_page(request, self._changeable(request, pk), self.admin_site.each_context(request))

    def part_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """Do what a button of a registered part says."""
        task, part = self._changeable(request, pk), schedule_parts.find(name)
        if part is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        part.act(request, task)
        return HttpResponseRedirect(reverse("admin:django_celery_beat_periodictask_change", args=[task.pk]))

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
