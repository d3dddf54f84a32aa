"""Schedules in the admin: their list and their form."""

from datetime import timedelta
from typing import Any

import django_celery_beat.admin  # noqa: F401  (registers the classes that are replaced here)
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from adminkit.admin_classes import PersonalAdmin, holding_for_edit
from adminkit.forms import typed_reason
from adminkit.paginator import BoundedPaginator
from adminkit.templatetags.display import local, weekday_moment
from database import clock
from database.messages import gettext
from maintenance import schedule_parts
from maintenance.admin.schedule_actions import ScheduleActions
from maintenance.admin.schedule_forms import PRESETS, ScheduleForm
from maintenance.admin.schedule_summary import (
    BotOwnerFilter,
    Fate,
    ScheduleJobFilter,
    ScheduleList,
    policies_in_words,
    reading_of,
    run_now_urls,
)
from maintenance.admin.schedule_views import ScheduleViews
from maintenance.admin.time_form import CRONTAB_FIELDS, INTERVAL_FIELDS, TIME_FIELDS
from maintenance.models.schedules import POLICY_FIELDS
from maintenance.registry import job_of_task
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.collisions import collisions
from maintenance.scheduling.reading import read
from maintenance.scheduling.time_rows import COLUMNS
from maintenance.templatetags import schedule_cells
from maintenance.yields.shown import usual_at

# django-celery-beat's own actions let staff with only the view permission run and disable tasks.
admin.site.unregister([PeriodicTask, CrontabSchedule, IntervalSchedule, ClockedSchedule, SolarSchedule])

SCHEDULES_PER_PAGE = 50
COLLISIONS_SAID = 3
# A later time is said with its year.
NEAR = timedelta(days=180)


def _next_in_words(task: PeriodicTask) -> str:
    """Return when the schedule starts its job next, in its zone and in the reader's; or why it will not."""
    task = PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)
    reading = read(task)
    if reading.next_run_at is None and reading.is_over:
        return gettext("It does not start its job: it has no more fire times.")
    # A pause with an end is not why: something else holds it, or its last slot is before that end.
    is_paused = not task.enabled and task.control.paused_at and not task.control.paused_until
    if reading.next_run_at is None and is_paused:
        return gettext("It is paused (%(reason)s): it does not start its job until somebody resumes it.") % {
            "reason": task.control.pause_reason
        }
    if reading.next_run_at is None:
        return gettext("It does not start its job for now: its page says why.")
    at = reading.next_run_at
    is_near = at - clock.now() < NEAR
    there, here = (weekday_moment(one) if is_near else f"{one:%Y-%m-%d %H:%M}" for one in (at, local(at)))
    there, here = f"{there} {reading.zone}", f"{here} {timezone.get_current_timezone_name()}"
    return gettext("Next: %(time)s") % {"time": there if there == here else f"{there} ({here})"}


@admin.register(PeriodicTask)
class ScheduleAdmin(ScheduleActions, ScheduleViews, PersonalAdmin):
    """Schedules. Every change goes through ``edits``, which checks, writes events and notifies beat."""

    form = ScheduleForm
    change_list_template = "maintenance/schedule_list.html"
    change_form_template = "maintenance/schedule_form.html"
    records_deletions = False
    # ``edits`` writes the events of these itself.
    recorded_elsewhere = (*COLUMNS, "enabled", "one_off")
    delete_confirmation_template = "maintenance/schedule_delete.html"
    list_display = ("schedule_name", "active", "when", "next_run", "last_runs", "run_now")
    list_filter = ("enabled", ScheduleJobFilter, BotOwnerFilter)
    list_per_page = SCHEDULES_PER_PAGE
    # As for lists that grow without bound: one schedule per bot is not unusual.
    list_max_show_all = 0
    paginator = BoundedPaginator
    show_full_result_count = False
    search_fields = ("name", "task")
    empty_list = _(
        "A schedule starts a job by itself. Add one and choose its job and its time; manage.py migrate puts the defaults"
        " back."
    )
    sortable_by = ("schedule_name", "next_run")
    ordering = ("name",)
    show_facets = admin.ShowFacets.NEVER

    # --- Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Require both permissions, because adding sets the time too."""
        return super().has_add_permission(request) and request.user.has_perm(edits.PERMISSION)

    # --- Form

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> Any:
        """Show only facts to a person who may not change it."""
        if obj is not None and not self.has_change_permission(request, obj):
            return ((None, {"fields": ("name", "job_title", "description", "when", "policies", "kwargs")}),)
        general = (None, {"fields": ("name", "task", "description")})
        slots = (
            _("Missed and overlapping slots"),
            {
                "fields": (
                    ("misfire_policy", "misfire_limit", "catch_up_hours"),
                    "catch_up_after_pause",
                    "overlap_policy",
                )
            },
        )
        failures = (
            _("Failures"),
            {"fields": (("retries", "time_limit_seconds"), "pause_after_failures")},
        )
        parameters = (_("Parameters"), {"fields": ("kwargs",), "classes": ("collapse",)})
        fields = (
            "kind",
            CRONTAB_FIELDS,
            INTERVAL_FIELDS,
            "once_at",
            "timezone",
            ("starts_at", "ends_at"),
            ("days_off", "days_off_weekends"),
            "reason",
        )
        added = ((part.title, {"fields": tuple(part.fields())}) for part in schedule_parts.registered())
        return (general, (_("Schedule"), {"fields": fields}), slots, failures, *added, parameters)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Leave the fields that are not part of the model to the form class."""
        return super().get_form(request, obj, change, **{**kwargs, "fields": list(ScheduleForm.Meta.fields)})

    def delete_model(self, request: HttpRequest, obj: PeriodicTask) -> None:
        """Delete it, with the reason of a page that asks for one."""
        edits.delete(obj, by=request.user, reason=typed_reason(request))

    def save_model(self, request: HttpRequest, obj: PeriodicTask, form: Any, change: bool) -> None:
        """Save the names, then the time if it was edited, then the policies."""
        if change:
            edits.save_edit(obj)
        if form.is_retimed:
            edits.set_time(
                obj, by=request.user, time=form.cleaned_data["time"], reason=form.cleaned_data["reason"]
            )
        policies = {name: form.cleaned_data[name] for name in POLICY_FIELDS}
        edits.set_policies(obj, policies, by=request.user)
        for part in schedule_parts.registered():
            part.save(obj, form.cleaned_data, by=request.user)
        messages.info(request, _next_in_words(obj))
        for collision in collisions(obj, now=clock.now())[:COLLISIONS_SAID]:
            messages.warning(request, str(collision))

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[Any]:
        """Leave out time and policies: ``edits`` has written their events with before and after."""
        added = [name for part in schedule_parts.registered() for name in part.fields()]
        told = {*TIME_FIELDS, *POLICY_FIELDS, *added, "reason"}
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

    @admin.display(description=_("name"), ordering="name")
    def schedule_name(self, task: PeriodicTask) -> str:
        """Name the schedule; mark one that differs from its default."""
        return schedule_cells.schedule_name(task)

    @admin.display(description=_("active"))
    def active(self, task: Any) -> str:
        """Show a switch; its button is in the list's own form."""
        may_change = task.user.has_perm(edits.PERMISSION)
        return schedule_cells.schedule_switch(task, reading_of(task), may_change)

    @admin.display(description=_("schedule"))
    def when(self, task: PeriodicTask) -> str:
        """Say when it runs, as a sentence and as it is stored."""
        return schedule_cells.schedule_time(reading_of(task))

    @admin.display(description=_("job"))
    def job_title(self, task: PeriodicTask) -> str:
        """Name the job; a task that is no job of ours by its own name."""
        job = job_of_task(task.task)
        return str(job.title) if job else task.task

    @admin.display(description=_("missed and overlapping slots"))
    def policies(self, task: PeriodicTask) -> str:
        """Say what happens to missed and overlapping slots, and after failures."""
        return policies_in_words(schedules.control_of(task))

    # What never fires comes last.
    @admin.display(description=_("next run"), ordering=F("control__next_slot_at").asc(nulls_last=True))
    def next_run(self, task: PeriodicTask) -> str:
        """Say when it runs next."""
        return schedule_cells.schedule_next_run(task, reading_of(task))

    @admin.display(description=_("last 30 runs of the job"))
    def last_runs(self, task: Any) -> str | None:
        """Draw the job's latest runs."""
        strip: str | None = task.strip
        return strip

    @admin.display(description=_("run"))
    def run_now(self, task: Any) -> str | None:
        """Link to the page that asks before it runs the job now."""
        if task.run_url is None:
            return None
        return format_html(
            '<a class="push" href="{}">{} <span class="visually-hidden">{}</span></a>',
            task.run_url,
            _("Run…"),
            schedules.title(task),
        )

    # --- Pages

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say what happens to the history and to the job's default."""
        task = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if task is not None:
            name = gettext("Delete the schedule “%(name)s”?") % {"name": schedules.title(task)}
            context = {"fate": Fate.of(task), "title": name, "subtitle": None}
        return super().delete_view(request, object_id, {**context, **(extra_context or {})})

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
        if request.method == "POST" and "_preview" in request.POST:
            shown = self.preview_of(request.POST, task)
            context["preview"] = render_to_string("maintenance/_preview.html", shown, request)
        if task is not None:
            task.reading = read(task)
            context |= {
                "title": schedules.title(task),
                "subtitle": None,
                "job": task.reading.job,
                "schedule": task,
                "reading": task.reading,
                "run_url": run_now_urls([task], request.user)[0],
                "usual_rows": usual_at(task.pk, task.reading.next_run_at),
                "deviation": schedules.deviation(task),
                "may_change": (may_change := self.has_change_permission(request, task)),
                "cards": [
                    part.card(request, task, may_change=may_change) for part in schedule_parts.registered()
                ],
                "may_add": self.has_add_permission(request),
            }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})
