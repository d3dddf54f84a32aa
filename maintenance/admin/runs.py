"""Job runs in the admin: the ledger, read-only, with the buttons to decide about a run."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import ReadOnlyAdmin
from adminkit.filters import rare_choices
from adminkit.links import badge, choice_label, time_ago
from adminkit.templatetags.display import duration, number
from database.text import row_key
from maintenance.admin.comparison import RunComparison
from maintenance.admin.run_actions import RunActions
from maintenance.admin.run_export import RunExport
from maintenance.admin.run_filters import (
    JobFilter,
    LongFilter,
    PersonFilter,
    QueuedFilter,
    without_blank_days,
)
from maintenance.admin.run_views import RunViews
from maintenance.ledger.search import erasures_of, having_words
from maintenance.models import JobRun
from maintenance.names import name_bots
from maintenance.registry import job_title, jobs
from maintenance.yields.rows import rows_of
from scraping.models import BotConfig

EXCERPT = 120


@admin.register(JobRun)
class JobRunAdmin(RunActions, RunExport, RunComparison, RunViews, ReadOnlyAdmin):
    """The ledger. Owners of bots see the runs of their own bots without any permission."""

    change_form_template = "maintenance/run.html"
    change_list_template = "maintenance/run_list.html"
    list_display = ("run", "status_badge", "started", "took", "rows", "triggered", "outcome")
    list_filter = (
        "status",
        JobFilter,
        ("trigger", rare_choices(JobRun.Trigger.SCHEDULE)),
        "dry_run",
        LongFilter,
        PersonFilter,
        ("queued_at", QueuedFilter),
    )
    # For the runs behind a figure of a comparison, and behind a line of "Needs you".
    lookups = ("schedule", "attempt", "id")
    search_fields = ("id",)
    search_help_text = _(
        "A run’s number, a job, words of messages, logs, parameters and people (newest 20,000 runs), or a post’s or"
        " comment’s fullname or link: which run deleted or blanked it."
    )
    empty_list = _(
        "A run appears here when a schedule fires, or when somebody presses Run… on the dashboard or calls a job’s"
        " command."
    )
    sortable_by = ("run",)

    # --- Permissions

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow everything to holders of the permission, and to others the runs that a job shows them."""
        if super().has_view_permission(request, obj):
            return True
        visible = JobRun.objects.visible_to(request.user)
        if isinstance(obj, JobRun):
            return visible.filter(pk=obj.pk).exists()
        return self._sees_some(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the menu entry to everybody who may see runs."""
        return super().has_module_permission(request) or self.has_view_permission(request)

    def _sees_some(self, request: HttpRequest) -> bool:
        # Asked several times per request, so kept with it. Owners of bots see the list even before the first run.
        kept: dict[str, bool] = vars(request)
        if "sees_some_runs" not in kept:
            kept["sees_some_runs"] = bool(
                request.user.is_active and BotConfig.objects.managed_by(request.user).exists()
            )
        return kept["sees_some_runs"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        """Leave long texts out of the list; show owners of bots only their own runs."""
        found: Any = super().get_queryset(request)
        if self.is_list(request):
            found = found.defer("traceback", "cursor", "plan", "mandate")
        visible: QuerySet[JobRun] = found.visible_to(request.user)
        return visible

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[JobRun], search_term: str
    ) -> tuple[QuerySet[JobRun], bool]:
        """Search by number or job, with an index; else by words."""
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
        """Show which run deleted or blanked an item that is searched for."""
        request.GET = without_blank_days(request.GET)  # type: ignore[assignment]
        sees_all = request.user.has_perm("maintenance.view_jobrun")
        found = erasures_of(request.GET.get(SEARCH_VAR, "")) if sees_all else []
        context = {"erasures": found, "legend": [(each, each.label, each.meaning) for each in JobRun.Status]}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Name the bots of the runs on the page."""
        page = super().get_changelist_instance(request)
        name_bots(page.result_list, request.user)
        return page

    # --- List

    @admin.display(description=_("run"), ordering="pk")
    def run(self, run: JobRun) -> str:
        """Name the job and the number."""
        shown = format_html('{} <span class="run-id">#{}</span>', job_title(run.job), run.pk)
        if run.bot:
            shown = format_html('{} <span class="run-bot">{}</span>', shown, run.bot.name)
        tags = [gettext("dry run")] if run.dry_run else []
        if run.attempt > 1:
            tags.append(gettext("attempt %(number)s") % {"number": run.attempt})
        return shown + format_html_join("", ' <span class="tag">{}</span>', ((tag,) for tag in tags))

    @admin.display(description=_("status"))
    def status_badge(self, run: JobRun) -> str:
        """Show the status as a badge."""
        return badge(run.status, choice_label(run, "status"))

    @admin.display(description=_("started"))
    def started(self, run: JobRun) -> str:
        """Say how long ago it started."""
        return time_ago(run.started_at) if run.started_at else "–"

    @admin.display(description=_("duration"))
    def took(self, run: JobRun) -> str:
        """Say how long it took."""
        return duration(run.duration)

    @admin.display(description=_("rows"))
    def rows(self, run: JobRun) -> str:
        """Sum the rows it deleted or stored."""
        return number(rows_of(run))

    @admin.display(description=_("trigger"))
    def triggered(self, run: JobRun) -> str:
        """Show what triggered the run, and who requested it."""
        who = f" · {run.requested_by_name}" if run.requested_by_name else ""
        return f"{capfirst(str(choice_label(run, 'trigger')))}{who}"

    @admin.display(description=_("outcome"))
    def outcome(self, run: JobRun) -> str | None:
        """Show the beginning of the error, or of what the run says of itself, or the reason of its state."""
        if run.error:
            return format_html('<span class="error-text">{}</span>', Truncator(run.error).chars(EXCERPT))
        said = run.message or (capfirst(str(choice_label(run, "reason"))) if run.reason else "")
        return Truncator(said).chars(EXCERPT) or None
