"""Schedules, runs and retentions."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import django_celery_beat.admin  # noqa: F401  (registers the classes that are replaced here)
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

import maintenance.admin.retentions  # noqa: F401  (registers the retentions)
from adminkit import live
from adminkit.admin_classes import PersonalAdmin, ReadOnlyAdmin, holding_for_edit
from adminkit.paginator import BoundedPaginator
from database import clock, zones
from database.messages import gettext, ngettext
from database.text import row_key
from maintenance.admin import run_strip
from maintenance.admin.run_confirmation import run_url, shown
from maintenance.admin.schedule_forms import (
    CONTROL_FIELDS,
    CRONTAB_FIELDS,
    PRESETS,
    CrontabForm,
    PauseForm,
    ReasonForm,
    ScheduleForm,
)
from maintenance.change_log import read_changes
from maintenance.ledger import decisions, requests
from maintenance.ledger.search import erasures_of, having_words
from maintenance.models import JobRun, RunLogLine
from maintenance.purging.plan import differences
from maintenance.registry import TASK_PREFIX, InvalidParams, Job, UnknownJob, get_job, job_title, jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.collisions import collisions
from maintenance.scheduling.preview import preview
from maintenance.scheduling.reading import Reading, read, read_all
from scraping.models import BotConfig, ScrapeSession

# django-celery-beat's own let staff with no more than the view permission run and disable tasks.
admin.site.unregister([PeriodicTask, CrontabSchedule, IntervalSchedule, ClockedSchedule, SolarSchedule])

ERROR_EXCERPT = 120
# A run's page shows the end of a long log.
LOG_LINES_SHOWN = 500
SESSIONS_SHOWN = 50
# The parts of a run's page that polls keep fresh, and those that change at its end only.
LIVE_PARTS: tuple[str, ...] = ("maintenance/_run_facts.html", "maintenance/_run_sessions.html")
LIVE_PARTS_AT_THE_END = (
    "maintenance/_run_tools.html",
    "maintenance/_run_decision.html",
    "maintenance/_run_counts.html",
    "maintenance/_run_error.html",
    "maintenance/_run_plan.html",
)
SCHEDULES_PER_PAGE = 50
COLLISIONS_SAID = 3


def badge(kind: str, label: Any) -> str:
    """Return a status as its badge."""
    return render_to_string("admin/_badge.html", {"kind": kind, "label": label})


# --- Schedules -----------------------------------------------------------------------------------


class ScheduleList(ChangeList):
    """The list of schedules, each with the latest runs of its job; as many queries for many as for few."""

    def get_results(self, request: HttpRequest) -> None:
        """Read all listed schedules together, and fetch their runs."""
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        for task, reading in zip(self.result_list, read_all(self.result_list), strict=True):
            task.reading, task.job, task.user = reading, reading.job, request.user
        latest = run_strip.latest_runs(
            sorted({task.job.slug for task in self.result_list if task.job}), request.user
        )
        for task in self.result_list:
            task.latest_runs = latest[task.job.slug] if task.job else []
        for task, url in zip(self.result_list, run_now_urls(self.result_list, request.user), strict=True):
            task.run_url = url

    @property
    def result_text(self) -> str:
        """How many there are: a schedule is no periodic task to who reads this."""
        number = self.result_count
        text = ngettext("%(number)s schedule", "%(number)s schedules", number)
        return text % {"number": number_format(number, force_grouping=True)}


class ScheduleJobFilter(admin.SimpleListFilter):
    """Schedules of one job."""

    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the declared jobs."""
        return [(job.slug, job.title) for job in jobs()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> QuerySet[PeriodicTask]:
        """Keep the chosen one."""
        return queryset.filter(task=f"{TASK_PREFIX}{self.value()}") if self.value() else queryset


@admin.register(PeriodicTask)
class ScheduleAdmin(PersonalAdmin):
    """When jobs run. Every change goes through ``schedules``, which checks, logs and tells beat."""

    form = ScheduleForm
    change_list_template = "maintenance/schedule_list.html"
    change_form_template = "maintenance/schedule_form.html"
    object_history_template = "maintenance/schedule_history.html"
    delete_confirmation_template = "maintenance/schedule_delete.html"
    list_display = ("schedule_name", "active", "when", "next_run", "last_runs", "run_now")
    list_filter = ("enabled", ScheduleJobFilter)
    list_per_page = SCHEDULES_PER_PAGE
    # As for the lists that grow without bound: a schedule for each bot is not unusual.
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
        """Adding sets the time too, so it takes both permissions."""
        return super().has_add_permission(request) and request.user.has_perm(schedules.PERMISSION)

    # --- Form

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> Any:
        """Show the crontab of a schedule that has one; nothing but facts to who may only look."""
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
        """Leave the fields that are not the model's own to the form class."""
        return super().get_form(request, obj, change, **{**kwargs, "fields": list(ScheduleForm.Meta.fields)})

    def delete_model(self, request: HttpRequest, obj: PeriodicTask) -> None:
        """Delete it under the lock that a tick takes: the tick writes the rows that go with it."""
        # Its open runs first, as a worker that hands one back locks the run and then the schedule.
        list(JobRun.objects.open().filter(schedule=obj).order_by("pk").select_for_update().values_list("pk"))
        list(PeriodicTask.objects.select_for_update().filter(pk=obj.pk))
        super().delete_model(request, obj)

    def save_model(self, request: HttpRequest, obj: PeriodicTask, form: Any, change: bool) -> None:
        """Save the names, then retime if the crontab was edited, then the policies."""
        if change:
            schedules.save_edit(obj)
        if form.is_retimed and "crontab" in form.cleaned_data:
            schedules.retime(
                obj,
                by=request.user,
                crontab=form.cleaned_data["crontab"],
                timezone_name=form.cleaned_data["timezone"],
                reason=form.cleaned_data["reason"],
            )
        control = schedules.control_of(obj)
        for name in CONTROL_FIELDS:
            setattr(control, name, form.cleaned_data[name])
        control.save(update_fields=CONTROL_FIELDS)
        for collision in collisions(obj, now=clock.now())[:COLLISIONS_SAID]:
            messages.warning(request, str(collision))

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[Any]:
        """Leave the time to ``schedules``, which has written it with before, after and reason."""
        told = {*CRONTAB_FIELDS, "timezone", "reason"}
        form.changed_data = [name for name in form.changed_data if name not in told]
        return super().construct_change_message(request, form, formsets, add)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write nothing where nothing else was changed."""
        return super().log_change(request, obj, message) if message else None

    # --- List

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodicTask]:
        """Bring the rows beside each schedule: one that another tool has deleted is None then, and raises nothing."""
        found: QuerySet[PeriodicTask] = super().get_queryset(request)
        return found.select_related(*schedules.RELATED)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that knows the runs."""
        return ScheduleList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Speak of schedules, not of periodic tasks."""
        return super().changelist_view(request, {"title": gettext("Schedules"), **(extra_context or {})})

    @admin.display(description=_("name"))
    def schedule_name(self, task: PeriodicTask) -> str:
        """Name the schedule; mark one that differs from its default."""
        return render_to_string(
            "maintenance/_schedule_name.html", {"task": task, "deviation": schedules.deviation(task)}
        )

    @admin.display(description=_("active"))
    def active(self, task: Any) -> str:
        """Switch it; the button stands in the list's own form."""
        return render_to_string(
            "maintenance/_switch.html",
            {
                "schedule": task,
                "reading": reading_of(task),
                "may_change": task.user.has_perm(schedules.PERMISSION),
            },
        )

    @admin.display(description=_("schedule"))
    def when(self, task: PeriodicTask) -> str:
        """Say when it runs, as a sentence and as it is stored."""
        return render_to_string("maintenance/_when.html", {"reading": reading_of(task)})

    @admin.display(description=_("missed and overlapping slots"))
    def policies(self, task: PeriodicTask) -> str:
        """Say what happens to them."""
        control = schedules.control_of(task)
        return f"{control.get_misfire_policy_display()} ({control.misfire_limit}) · {control.get_overlap_policy_display()}"

    @admin.display(description=_("next run"))
    def next_run(self, task: PeriodicTask) -> str:
        """Say when it runs next."""
        return render_to_string("maintenance/_next_run.html", {"schedule": task, "reading": reading_of(task)})

    @admin.display(description=_("last 30 runs"))
    def last_runs(self, task: Any) -> str | None:
        """Draw the job's latest runs."""
        if task.job is None:
            return None
        return render_to_string(
            "maintenance/_strip.html", run_strip.context(task.latest_runs, task.job.title)
        )

    @admin.display(description=_("run"))
    def run_now(self, task: Any) -> str | None:
        """Offer to run it now; the page behind asks first."""
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
        """Add the preview, the presets and the buttons; hold the row while an edit of it is checked and saved."""
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

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Read back what ``schedules`` wrote: before, after and the reason."""
        task = self.get_object(request, object_id)
        title = gettext("History of “%(name)s”") % {"name": schedules.title(task) if task else ""}
        response = super().history_view(request, object_id, {"title": title, **(extra_context or {})})
        read_changes(response)
        return response

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

        The switches of the lists post here without a reason, which only opens the page.
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
            schedules.pause(
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
        schedules.resume(task, by=request.user)
        done = gettext("%(name)s is active again.") if was_paused else gettext("%(name)s is active already.")
        messages.success(request, done % {"name": schedules.title(task)})
        return self._back(request)

    def reset_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put the job's default crontab back."""
        return self._decide(request, pk, schedules.reset, gettext("%(name)s is back on its default."))

    def keep_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep the schedule although its default has changed."""
        return self._decide(request, pk, schedules.keep, gettext("%(name)s stays as it is."))

    def default_view(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Create the default schedule of a job that has none."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            task = schedules.create_default(get_job(slug), by=request.user)
        except UnknownJob as error:
            raise Http404(str(error)) from None
        except ValueError as error:
            messages.error(request, str(error))
            return self._back(request)
        if task is not None:
            self.log_addition(request, task, gettext("Created by its default."))
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


def reading_of(task: Any) -> Reading:
    """Return the reading that a list or page has made of the schedule, else a new one."""
    found: Reading = getattr(task, "reading", None) or read(task)
    return found


def run_now_urls(tasks: Sequence[Any], user: Any) -> list[str | None]:
    """Return where each of these read schedules' jobs is run by hand; None where the person may not."""
    urls: dict[int, str] = {}
    by_job: dict[str, list[Any]] = {}
    for task in tasks:
        if task.reading.job is not None and task.reading.params is not None:
            by_job.setdefault(task.reading.job.slug, []).append(task)
    for slug, of_job in by_job.items():
        job = get_job(slug)
        allowed = job.may_run_each(user, [task.reading.params for task in of_job])
        urls |= {
            task.pk: run_url(job, task.reading.params)
            for task, may_run in zip(of_job, allowed, strict=True)
            if may_run
        }
    return [urls.get(task.pk) for task in tasks]


# --- Runs ------------------------------------------------------------------------------------------


class JobFilter(admin.SimpleListFilter):
    """Runs of one job."""

    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the declared jobs."""
        return [(job.slug, job.title) for job in jobs()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> QuerySet[JobRun]:
        """Keep the chosen one."""
        return queryset.filter(job=self.value()) if self.value() else queryset


def _sessions(run: JobRun, user: Any) -> QuerySet[ScrapeSession]:
    """Return the first scrape sessions of the run that the user may see."""
    if not user.has_perm("scraping.view_scrapesession"):
        return ScrapeSession.objects.none()
    return ScrapeSession.objects.visible_to(user).filter(run=run).order_by("pk")[:SESSIONS_SHOWN]


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    """The ledger. Owners of bots see the runs of their own bots, without any permission."""

    change_form_template = "maintenance/run.html"
    change_list_template = "maintenance/run_list.html"
    list_display = ("run", "status_badge", "started", "duration", "rows", "triggered", "error_excerpt")
    list_filter = ("status", JobFilter, "trigger", "dry_run", "queued_at")
    search_fields = ("id",)
    search_help_text = _(
        "A run’s number, a job, words of messages, logs, parameters and people (newest 20,000 runs), or a post’s or"
        " comment’s fullname or link: which run deleted or blanked it."
    )
    sortable_by = ()

    # --- Permissions

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow the permission's holders everything, and others what a job shows them."""
        if super().has_view_permission(request, obj):
            return True
        visible = JobRun.objects.visible_to(request.user)
        if isinstance(obj, JobRun):
            return visible.filter(pk=obj.pk).exists()
        return self._sees_some(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the menu entry to whoever has a run to see."""
        return super().has_module_permission(request) or self.has_view_permission(request)

    def _sees_some(self, request: HttpRequest) -> bool:
        # Asked several times a request; kept with it. Who owns a bot sees the list before its first run too.
        kept: dict[str, bool] = vars(request)
        if "sees_some_runs" not in kept:
            kept["sees_some_runs"] = bool(
                request.user.is_active and BotConfig.objects.managed_by(request.user).exists()
            )
        return kept["sees_some_runs"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        """Leave long texts out of the list, and other people's runs out for bot owners."""
        found: Any = super().get_queryset(request)
        if self.is_list(request):
            found = found.defer("traceback", "cursor", "plan", "mandate")
        visible: QuerySet[JobRun] = found.visible_to(request.user)
        return visible

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[JobRun], search_term: str
    ) -> tuple[QuerySet[JobRun], bool]:
        """Search by number or job, to which an index leads; else by words."""
        term = search_term.strip().removeprefix("#")
        if not term:
            return queryset, False
        if term.isdecimal():
            return queryset.filter(pk=row_key(term)), False
        slugs = [job.slug for job in jobs() if term.lower() in (job.slug, job.title.lower())]
        if slugs:
            return queryset.filter(job__in=slugs), False
        return having_words(queryset, term), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say what became of an item that is searched for."""
        sees_all = request.user.has_perm("maintenance.view_jobrun")
        found = erasures_of(request.GET.get(SEARCH_VAR, "")) if sees_all else []
        return super().changelist_view(request, {"erasures": found, **(extra_context or {})})

    # --- List

    @admin.display(description=_("run"))
    def run(self, run: JobRun) -> str:
        """Name the job and the number."""
        return render_to_string("maintenance/_run_name.html", {"run": run, "title": job_title(run.job)})

    @admin.display(description=_("status"))
    def status_badge(self, run: JobRun) -> str:
        """Show the status as a badge."""
        return badge(run.status, run.get_status_display())

    @admin.display(description=_("started"))
    def started(self, run: JobRun) -> str:
        """Say how long ago it started."""
        return render_to_string("maintenance/_started.html", {"run": run})

    @admin.display(description=_("duration"))
    def duration(self, run: JobRun) -> str:
        """Say how long it took."""
        return render_to_string("maintenance/_duration.html", {"run": run})

    @admin.display(description=_("rows"))
    def rows(self, run: JobRun) -> str:
        """Sum the rows it deleted or stored."""
        return render_to_string("maintenance/_number.html", {"number": rows_of(run)})

    @admin.display(description=_("trigger"))
    def triggered(self, run: JobRun) -> str:
        """Say which door it came through, and who asked."""
        return render_to_string("maintenance/_trigger.html", {"run": run})

    @admin.display(description=_("error"))
    def error_excerpt(self, run: JobRun) -> str | None:
        """Show how the error begins."""
        if not run.error:
            return None
        return format_html('<span class="error-text">{}</span>', run.error[:ERROR_EXCERPT])

    # --- Pages

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
                "strip": run_strip.context(latest, job_title(run.job)),
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
            "totals": [(count_name(name), number) for name, number in requests.totals(run).items()]
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
        """Answer a poll: what changed since version ``v``, and the log lines behind ``after``.

        The answer for a run that has ended does not ask again.
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
            requests.cancel_run(run, by=request.user)
        except requests.NotPossible as error:
            messages.warning(request, str(error))
        else:
            self.log_change(request, run, gettext("Cancelled."))
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
            requests.force_stop_run(run, by=request.user)
        except requests.NotPossible as error:
            messages.warning(request, str(error))
        else:
            self.log_change(request, run, gettext("Stopped by force."))
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
                requests.approve_run(run, by=request.user, reason=reason, plan_at=request.POST.get("plan_at"))
            else:
                requests.reject_run(run, by=request.user, reason=reason)
        except requests.NotPossible as error:
            messages.warning(request, str(error))
        else:
            decision = gettext("Approved: %(reason)s") if approve else gettext("Rejected: %(reason)s")
            self.log_change(request, run, decision % {"reason": reason})
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
    """Return with what the run can be asked for again; None: its job is no more, or takes them no longer."""
    if job is None:
        return None
    try:
        return job.clean({name: value for name, value in run.params.items() if name in job.params})
    except InvalidParams:
        return None


def rows_of(run: JobRun) -> int | None:
    """Return how many rows a run deleted (counts by model label) or newly stored; None for neither."""
    counts: dict[str, int] = {name: number for name, number in run.counts.items() if type(number) is int}
    deleted = [number for name, number in counts.items() if "." in name]
    if deleted:
        return sum(deleted)
    stored = [counts[name] for name in ("posts_new", "comments_new") if name in counts]
    return sum(stored) if stored else None


# What jobs count in words of their own, for `make messages`.
COUNT_WORDS = (
    gettext_noop("requests"),
    gettext_noop("checked"),
    gettext_noop("unchanged"),
    gettext_noop("updated"),
    gettext_noop("deleted"),
    gettext_noop("removed"),
    gettext_noop("account deleted"),
    gettext_noop("restored"),
    gettext_noop("missing"),
    gettext_noop("tombstoned"),
    gettext_noop("unreadable"),
    gettext_noop("slots missed"),
)


def count_name(name: str) -> str:
    """Return the name of a count in the reader's language: a table's, a session field's, or its own words."""
    try:
        if "." in name:
            return str(apps.get_model(name)._meta.verbose_name_plural)
        field: Any = ScrapeSession._meta.get_field(name)
        return str(field.verbose_name)
    except (LookupError, FieldDoesNotExist, ValueError):  # a name with two dots is no model's
        return gettext(name.replace("_", " ")) if name else ""


def time_left(run: JobRun) -> timedelta | None:
    """Return how long a running run still takes at its pace so far; None while that cannot be said."""
    if run.status != JobRun.Status.RUNNING or not run.progress_total or not run.progress_done:
        return None
    left = max(0, run.progress_total - run.progress_done)
    return (run.duration or timedelta()) * left / run.progress_done
