"""Retentions in the admin: the page shows what an edit would delete before it is saved."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import InlineModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import PersonalAdmin, holding_for_edit
from adminkit.columns import moment_column
from database.deadlines import Superseded, superseding
from maintenance import retention
from maintenance.admin.retention_forms import OverrideForm, OverrideFormSet, RetentionForm, edited_retention
from maintenance.models import JobRun, RetentionOverride, RetentionPolicy
from maintenance.registry import UnknownJob, get_job, is_known, job_title


class OverrideInline(InlineModelAdmin):
    """The overrides; whoever may change the retention may change them."""

    model = RetentionOverride
    form = OverrideForm
    formset = OverrideFormSet
    template = "maintenance/overrides.html"
    # Without "Add another", which needs a script: save to get more rows.
    extra = 3

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Require the retention's permission."""
        return request.user.has_perm("maintenance.view_retentionpolicy")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Require the retention's permission."""
        return request.user.has_perm(retention.PERMISSION)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Require the retention's permission."""
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Require the retention's permission."""
        return self.has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Load the bots too: each row's heading is the bot's name."""
        return super().get_queryset(request).select_related("config")

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        """Pass the user to the forms."""
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.person = request.user
        return formset


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(PersonalAdmin):
    """For how long the purging jobs keep rows. The jobs define the retentions; people set the days."""

    form = RetentionForm
    change_form_template = "maintenance/retention_form.html"
    records_changes = False  # ``retention.change`` does
    list_display = (
        "job_name",
        "days",
        "overrides",
        moment_column(RetentionPolicy, "updated_at"),
        "updated_by",
    )
    list_select_related = ("updated_by",)
    fields = ("job_name", "summary", "days")
    readonly_fields = ("job_name", "summary")
    inlines = [OverrideInline]
    empty_list = _("Each job that deletes old rows has its retention here; manage.py migrate makes them.")
    sortable_by = ()
    actions = None

    # --- Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: seeding makes one for each job that has a retention."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: without it the job would fall back to its default silently."""
        return False

    # --- Form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the field for live threads if the job uses it."""
        is_asked = obj is not None and is_known(obj.job) and get_job(obj.job).has_live_threads
        return (*self.fields, "keeps_live_threads") if is_asked else self.fields

    def get_inlines(self, request: HttpRequest, obj: RetentionPolicy | None) -> Any:
        """Show overrides if the job uses them; a request without them does not change them."""
        if request.method == "POST" and "overrides-TOTAL_FORMS" not in request.POST:
            return []
        try:
            return self.inlines if obj and get_job(obj.job).has_overrides else []
        except UnknownJob:
            return []

    def save_model(self, request: HttpRequest, obj: RetentionPolicy, form: ModelForm, change: bool) -> None:
        """Save nothing yet: the days and the overrides are saved together."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Store the edit."""
        retention.change(form.instance, edited_retention(form, formsets), by=request.user)
        messages.info(
            request,
            gettext("The next run of “%(job)s” deletes what is older than %(days)s days.")
            % {"job": job_title(form.instance.job), "days": form.instance.days},
        )

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[Any]:
        """Return nothing: ``retention.change`` has written an event with before and after."""
        return []

    # --- List

    @admin.display(description=_("job"))
    def job_name(self, policy: RetentionPolicy) -> str:
        """Show the job's title."""
        return job_title(policy.job)

    @admin.display(description=_("what it does"))
    def summary(self, policy: RetentionPolicy) -> str:
        """Show what the job does."""
        try:
            return get_job(policy.job).summary
        except UnknownJob:
            return ""

    @admin.display(description=_("overrides"))
    def overrides(self, policy: RetentionPolicy) -> str:
        """List the first few overrides."""
        rows = [f"{row}: {row.days}" for row in policy.overrides.all()]
        return ", ".join(rows[:4]) + (" …" if len(rows) > 4 else "")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Load the overrides too."""
        return super().get_queryset(request).prefetch_related("overrides__config")

    # --- Pages

    def get_urls(self) -> list[URLPattern]:
        """Add the preview."""
        preview = self.admin_site.admin_view(self.preview_view)
        return [path("<int:pk>/preview/", preview, name="maintenance_retention_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer with a fragment: what the edit in the form would do."""
        policy: RetentionPolicy | None = self.get_object(request, str(pk))
        if not self.has_change_permission(request, policy):
            raise PermissionDenied
        if policy is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        after, errors = self._edited(request, policy)
        if after is None:
            return render(request, "maintenance/_retention_effect.html", {"errors": errors})
        is_stale = _is_stale(request, retention.retention_of(policy), after)
        try:
            # A form asks at each pause in typing: the count of the previous request is cancelled.
            with superseding(f"retention {policy.pk} by {request.user.pk}"):
                context = _effect_context(policy, after, is_stale=is_stale)
        except Superseded:
            return HttpResponse(status=204)
        return render(request, "maintenance/_retention_effect.html", context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Ask for confirmation if the edit deletes more rows and the person has not seen how many."""
        with holding_for_edit(request, self.get_object(request, object_id or "")):
            return self._changeform_page(request, object_id, form_url, extra_context)

    def _changeform_page(
        self,
        request: HttpRequest,
        object_id: str | None,
        form_url: str,
        extra_context: dict[str, Any] | None,
    ) -> HttpResponse:
        policy = self.get_object(request, object_id or "")
        if policy is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        before = retention.retention_of(policy)
        if request.method == "POST" and self.has_change_permission(request, policy):
            after, _errors = self._edited(request, policy)
            is_stale = after is not None and _is_stale(request, before, after)
            if after and (is_stale or request.POST.get("seen") != _seen(before, after)):
                context = _effect_context(policy, after, is_stale=is_stale)
                if is_stale or context["effect"].more.total:
                    return self._ask(request, policy, context)
        context = {
            "subtitle": job_title(policy.job),
            "opened": request.POST.get("opened") or before.key(),
            "running": _running(policy),
        }
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _ask(self, request: HttpRequest, policy: RetentionPolicy, context: dict[str, Any]) -> HttpResponse:
        kept = [
            (name, value)
            for name, values in request.POST.lists()
            for value in values
            if name not in ("csrfmiddlewaretoken", "opened", "seen")
        ]
        title = gettext("Delete more?") if context["effect"].more.total else gettext("Replace the retention?")
        page = {**self.admin_site.each_context(request), "title": title}
        return render(
            request,
            "maintenance/retention_confirmation.html",
            {**page, **context, "policy": policy, "job": job_title(policy.job), "kept": kept},
        )

    def _edited(
        self, request: HttpRequest, policy: RetentionPolicy
    ) -> tuple[retention.Retention | None, list[str]]:
        """Return the retention of the posted forms, or their errors; saves nothing."""
        row = RetentionPolicy.objects.get(pk=policy.pk)  # a form changes its row
        form = self.get_form(request, row, change=True)(request.POST, instance=row)
        formsets = []
        for formset_class, inline in self.get_formsets_with_inlines(request, row):
            prefix = formset_class.get_default_prefix()
            formsets.append(formset_class(**self.get_formset_kwargs(request, row, inline, prefix)))
        # A list, so that all forms are validated and all errors are shown at once.
        if all([form.is_valid(), *(formset.is_valid() for formset in formsets)]):
            return edited_retention(form, formsets), []
        forms = (form, *(one for formset in formsets for one in formset.forms))
        return None, [str(error) for one in forms for errors in one.errors.values() for error in errors]


def _effect_context(policy: RetentionPolicy, after: retention.Retention, *, is_stale: bool) -> dict[str, Any]:
    before = retention.retention_of(policy)
    return {
        "effect": retention.effect(policy, after),
        "seen": _seen(before, after),
        "opened": before.key(),
        "is_stale": is_stale,
        "running": _running(policy),
    }


def _running(policy: RetentionPolicy) -> JobRun | None:
    """Return the job's run that is deleting now, if there is one."""
    running = JobRun.objects.running().filter(job=policy.job, dry_run=False)
    return running.only("pk", "job").first()


def _seen(before: retention.Retention, after: retention.Retention) -> str:
    """Return a text that identifies an edit by its values before and after."""
    return f"{before.key()}|{after.key()}"


def _is_stale(request: HttpRequest, before: retention.Retention, after: retention.Retention) -> bool:
    """Whether the posted form was opened before somebody else's edit, which it would undo.

    Two people who make the same edit do not conflict.
    """
    return before.key() not in (after.key(), request.POST.get("opened", before.key()))
