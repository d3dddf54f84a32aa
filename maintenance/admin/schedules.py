"""Schedules in the admin: their list and their form."""

from typing import Any

import django_celery_beat.admin  # noqa: F401  (registers the classes that are replaced here)
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from adminkit.admin_classes import PersonalAdmin, holding_for_edit
from adminkit.paginator import BoundedPaginator
from database import clock
from database.messages import gettext
from maintenance.admin.schedule_forms import CONTROL_FIELDS, CRONTAB_FIELDS, PRESETS, ScheduleForm
from maintenance.admin.schedule_summary import ScheduleJobFilter, ScheduleList, reading_of, run_now_urls
from maintenance.admin.schedule_views import ScheduleViews
from maintenance.models import JobRun
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.collisions import collisions
from maintenance.scheduling.reading import read

# django-celery-beat's own actions let staff with only the view permission run and disable tasks.
admin.site.unregister([PeriodicTask, CrontabSchedule, IntervalSchedule, ClockedSchedule, SolarSchedule])

SCHEDULES_PER_PAGE = 50
COLLISIONS_SAID = 3


@admin.register(PeriodicTask)
class ScheduleAdmin(ScheduleViews, PersonalAdmin):
    """Schedules. Every change goes through ``edits``, which checks, writes events and notifies beat."""

    form = ScheduleForm
    change_list_template = "maintenance/schedule_list.html"
    change_form_template = "maintenance/schedule_form.html"
    # ``schedules`` writes the events of these itself.
    recorded_elsewhere = ("crontab", "interval", "clocked", "solar", "enabled")
    delete_confirmation_template = "maintenance/schedule_delete.html"
    list_display = ("schedule_name", "active", "when", "next_run", "last_runs", "run_now")
    list_filter = ("enabled", ScheduleJobFilter)
    list_per_page = SCHEDULES_PER_PAGE
    # As for lists that grow without bound: one schedule per bot is not unusual.
    list_max_show_all = 0
    paginator = BoundedPaginator
    show_full_result_count = False
    search_fields = ("name", "task")
    sortable_by = ()
    ordering = ("name",)
    show_facets = admin.ShowFacets.NEVER
    actions = None

    # --- Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Require both permissions, because adding sets the time too."""
        return super().has_add_permission(request) and request.user.has_perm(edits.PERMISSION)

    # --- Form

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> Any:
        """Show the crontab of a schedule that has one; show only facts to a person who may not change it."""
        if obj is not None and not self.has_change_permission(request, obj):
            return ((None, {"fields": ("name", "task", "description", "when", "policies", "kwargs")}),)
        general = (None, {"fields": ("name", "task", "description")})
        slots = (
            _("Missed and overlapping slots"),
            {"fields": (("misfire_policy", "misfire_limit"), "catch_up_after_pause", "overlap_policy")},
        )
        parameters = (_("Parameters"), {"fields": ("kwargs",), "classes": ("collapse",)})
        if obj is not None and not read(obj).takes_crontab:
            return (general, slots, parameters)
        crontab = (_("Schedule"), {"fields": (CRONTAB_FIELDS, "timezone", "reason")})
        return (general, crontab, slots, parameters)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Leave the fields that are not part of the model to the form class."""
        return super().get_form(request, obj, change, **{**kwargs, "fields": list(ScheduleForm.Meta.fields)})

    def delete_model(self, request: HttpRequest, obj: PeriodicTask) -> None:
        """Delete it under the lock that a tick takes, because the tick writes rows that refer to it."""
        # Its open runs first: a worker that hands a run back locks the run and then the schedule.
        list(JobRun.objects.open().filter(schedule=obj).order_by("pk").select_for_update().values_list("pk"))
        list(PeriodicTask.objects.select_for_update().filter(pk=obj.pk))
        super().delete_model(request, obj)

    def save_model(self, request: HttpRequest, obj: PeriodicTask, form: Any, change: bool) -> None:
        """Save the names, then retime if the crontab was edited, then the policies."""
        if change:
            edits.save_edit(obj)
        if form.is_retimed and "crontab" in form.cleaned_data:
            edits.retime(
                obj,
                by=request.user,
                crontab=form.cleaned_data["crontab"],
                timezone_name=form.cleaned_data["timezone"],
                reason=form.cleaned_data["reason"],
            )
        policies = {name: form.cleaned_data[name] for name in CONTROL_FIELDS}
        edits.set_policies(obj, policies, by=request.user)
        for collision in collisions(obj, now=clock.now())[:COLLISIONS_SAID]:
            messages.warning(request, str(collision))

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[Any]:
        """Leave out time and policies: ``edits`` has written their events with before and after."""
        told = {*CRONTAB_FIELDS, *CONTROL_FIELDS, "timezone", "reason"}
        form.changed_data = [name for name in form.changed_data if name not in told]
        return super().construct_change_message(request, form, formsets, add)

    # --- List

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodicTask]:
        """Load the related rows too: one that another tool has deleted is None then, and does not raise."""
        found: QuerySet[PeriodicTask] = super().get_queryset(request)
        return found.select_related(*schedules.RELATED)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that loads the runs."""
        return ScheduleList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Title the list "schedules" instead of "periodic tasks"."""
        return super().changelist_view(request, {"title": gettext("Schedules"), **(extra_context or {})})

    @admin.display(description=_("name"))
    def schedule_name(self, task: PeriodicTask) -> str:
        """Name the schedule; mark one that differs from its default."""
        return render_to_string(
            "maintenance/_schedule_name.html", {"task": task, "deviation": schedules.deviation(task)}
        )

    @admin.display(description=_("active"))
    def active(self, task: Any) -> str:
        """Show a switch; its button is in the list's own form."""
        return render_to_string(
            "maintenance/_switch.html",
            {
                "schedule": task,
                "reading": reading_of(task),
                "may_change": task.user.has_perm(edits.PERMISSION),
            },
        )

    @admin.display(description=_("schedule"))
    def when(self, task: PeriodicTask) -> str:
        """Say when it runs, as a sentence and as it is stored."""
        return render_to_string("maintenance/_when.html", {"reading": reading_of(task)})

    @admin.display(description=_("missed and overlapping slots"))
    def policies(self, task: PeriodicTask) -> str:
        """Say what happens to missed and overlapping slots."""
        control = schedules.control_of(task)
        return f"{control.get_misfire_policy_display()} ({control.misfire_limit}) · {control.get_overlap_policy_display()}"

    @admin.display(description=_("next run"))
    def next_run(self, task: PeriodicTask) -> str:
        """Say when it runs next."""
        return render_to_string("maintenance/_next_run.html", {"schedule": task, "reading": reading_of(task)})

    @admin.display(description=_("last 30 runs"))
    def last_runs(self, task: Any) -> str | None:
        """Draw the job's latest runs."""
        strip: str | None = task.strip
        return strip

    @admin.display(description=_("run"))
    def run_now(self, task: Any) -> str | None:
        """Link to the page that asks before it runs the job now."""
        if task.run_url is None:
            return None
        return render_to_string("maintenance/_run_button.html", {"url": task.run_url, "task": task})

    # --- Pages

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add the preview, the presets and the buttons; lock the row while an edit is checked and saved."""
        task = self.get_object(request, object_id) if object_id else None
        with holding_for_edit(request, task):
            return self._changeform_page(request, object_id, form_url, extra_context)

    def _changeform_page(
        self,
        request: HttpRequest,
        object_id: str | None,
        form_url: str,
        extra_context: dict[str, Any] | None,
    ) -> HttpResponse:
        context: dict[str, Any] = {
            "title": gettext("Schedule") if object_id else gettext("Add schedule"),
            "presets": PRESETS,
            # Two schedules in a row are rarely alike; a copy is.
            "show_save_and_add_another": False,
        }
        task = self.get_object(request, object_id) if object_id else None
        if task is not None:
            task.reading = read(task)
            context |= {
                "subtitle": None,
                "job": task.reading.job,
                "schedule": task,
                "reading": task.reading,
                "run_url": run_now_urls([task], request.user)[0],
                "deviation": schedules.deviation(task),
                "may_change": self.has_change_permission(request, task),
            }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})
