"""What people do to many runs at once: run again, cancel, approve; with one reason, and a page with each one's outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from adminkit.forms import ReasonForm
from adminkit.links import select_box
from adminkit.templatetags.display import number
from database.messages import gettext
from database.text import row_key
from maintenance.ledger import decisions, interventions
from maintenance.models import JobRun
from maintenance.names import name_bots, name_in_words
from maintenance.registry import job_title, may_run_jobs
from scraping.models import BotConfig

# Each one is a transaction of its own, within one request.
SELECTED_MAX: Final = 100
CANCEL, APPROVE = "maintenance.cancel_jobrun", "maintenance.approve_run"


@dataclass(frozen=True)
class Outcome:
    """What will happen, or has happened, to one run."""

    run: JobRun
    # In the reader's language.
    text: str = ""
    refusal: str = ""
    # The run that was requested.
    made: JobRun | None = None

    @property
    def title(self) -> str:
        """The name of its job."""
        return job_title(self.run.job)


@dataclass(frozen=True)
class Action:
    """One thing to do with many runs."""

    # The title of the page that asks, for a number of runs.
    question: Callable[[int], str]
    button: Any  # a lazy text
    # Says what it will do to one run; raises NotPossible or PermissionDenied with the refusal.
    foresee: Callable[[HttpRequest, JobRun], str]
    # Does it, with a reason; raises likewise, and InvalidParams.
    do: Callable[[HttpRequest, JobRun, str], Outcome]


class RunActions(admin.ModelAdmin):
    """The actions of the list of runs, for their admin. Each run gets its own transaction and event."""

    actions: Any = ["retry_many", "cancel_many", "approve_many"]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether the person may run jobs or has bots; each job decides about each run."""
        return may_run_jobs(request.user, {}) or BotConfig.objects.managed_by(request.user).exists()

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether the person may cancel runs."""
        return request.user.has_perm(CANCEL)

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Whether the person may approve runs."""
        return request.user.has_perm(APPROVE)

    def action_checkbox(self, obj: Model) -> SafeString:
        """Label the box with the job and the number."""
        name = f"{job_title(obj.job)} #{obj.pk}" if isinstance(obj, JobRun) else str(obj)
        return select_box(ACTION_CHECKBOX_NAME, obj.pk, gettext("Select %(name)s") % {"name": name})

    @admin.action(permissions=["retry"], description=_("Run again…"))
    def retry_many(self, request: HttpRequest, runs: QuerySet[JobRun]) -> HttpResponse | None:
        """Request the selected ones again."""
        return self._ask_and_do(request, runs, "retry_many")

    @admin.action(permissions=["cancel"], description=_("Cancel…"))
    def cancel_many(self, request: HttpRequest, runs: QuerySet[JobRun]) -> HttpResponse | None:
        """Cancel the selected ones."""
        return self._ask_and_do(request, runs, "cancel_many")

    @admin.action(permissions=["approve"], description=_("Approve…"))
    def approve_many(self, request: HttpRequest, runs: QuerySet[JobRun]) -> HttpResponse | None:
        """Approve the selected ones."""
        return self._ask_and_do(request, runs, "approve_many")

    def _ask_and_do(self, request: HttpRequest, runs: QuerySet[JobRun], name: str) -> HttpResponse | None:
        """Ask, saying what will happen to each; do it when that was confirmed, and say what has happened to each."""
        action = _ACTIONS[name]
        # A run that has left the filtered list since it was selected, such as "blocked", is told about too.
        keys = {row_key(key) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)[: SELECTED_MAX + 1]}
        if request.POST.get("select_across") == "1":
            keys = set(runs.order_by("-pk").values_list("pk", flat=True)[: SELECTED_MAX + 1])
        if len(keys) > SELECTED_MAX:
            text = gettext("At most %(number)s runs at once: select fewer.")
            messages.error(request, text % {"number": SELECTED_MAX})
            return None
        # Their plans and mandates too, which the list leaves out.
        selected = list(JobRun.objects.visible_to(request.user).filter(pk__in=keys).order_by("-pk"))
        name_bots(selected, request.user)
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        is_done = form.is_valid()
        reason = form.cleaned_data["reason"] if is_done else ""
        return render(
            request,
            "maintenance/run_actions.html",
            {
                **self.admin_site.each_context(request),
                "title": gettext("What became of each run") if is_done else action.question(len(selected)),
                "button": action.button,
                "form": form,
                "action": name,
                "outcomes": [
                    _done(action, request, run, reason) if is_done else _foreseen(action, request, run)
                    for run in selected
                ],
                "is_done": is_done,
                "checkbox_name": ACTION_CHECKBOX_NAME,
            },
        )


def _foreseen(action: Action, request: HttpRequest, run: JobRun) -> Outcome:
    try:
        return Outcome(run, action.foresee(request, run))
    except (interventions.NotPossible, PermissionDenied) as refusal:
        return Outcome(run, refusal=str(refusal))


def _done(action: Action, request: HttpRequest, run: JobRun, reason: str) -> Outcome:
    try:
        action.foresee(request, run)
        return action.do(request, run, reason)
    except (interventions.NotPossible, PermissionDenied) as refusal:
        return Outcome(run, refusal=str(refusal))
    except ValidationError as error:
        return Outcome(run, refusal=" ".join(error.messages))


def _foresee_retry(request: HttpRequest, run: JobRun) -> str:
    interventions.refuse_retry(run)
    return gettext("a new run with the same parameters is queued")


def _retry(request: HttpRequest, run: JobRun, reason: str) -> Outcome:
    made = interventions.retry_run(run, by=request.user, reason=reason)
    return Outcome(run, gettext("is queued as #%(id)s") % {"id": made.pk}, made=made)


def _foresee_cancel(request: HttpRequest, run: JobRun) -> str:
    if run.is_queued:
        return gettext("ends at once, undone")
    if run.is_running:
        return gettext("stops at its next checkpoint; what it has done stays")
    raise interventions.NotPossible(interventions.state_of(run))


def _cancel(request: HttpRequest, run: JobRun, reason: str) -> Outcome:
    interventions.cancel_run(run, by=request.user, reason=reason)
    return Outcome(run, gettext("is cancelled") if run.is_final else gettext("is being cancelled"))


def _foresee_approval(request: HttpRequest, run: JobRun) -> str:
    interventions.refuse_decided(run)
    decisions.refuse_own(run, by=request.user)
    seen = request.POST.get(f"plan_at_{run.pk}")
    if seen is not None and seen != _plan_at(run):
        text = gettext("%(run)s was planned anew meanwhile: look at the plan again.")
        raise interventions.NotPossible(text % {"run": name_in_words(str(run))})
    rows = sum(table.rows for table in decisions.plan_of(run))
    return ngettext("deletes %(rows)s row", "deletes %(rows)s rows", rows) % {"rows": number(rows)}


def _approve(request: HttpRequest, run: JobRun, reason: str) -> Outcome:
    seen = request.POST.get(f"plan_at_{run.pk}")
    if seen is None:
        raise interventions.NotPossible(gettext("Its plan was not shown: look at it first."))
    interventions.approve_run(run, by=request.user, reason=reason, plan_at=seen)
    return Outcome(run, gettext("is approved and queued"))


def _plan_at(run: JobRun) -> str:
    return str((run.plan or {}).get("at", ""))


def _retry_question(runs: int) -> str:
    return ngettext("Run %(number)s run again?", "Run %(number)s runs again?", runs) % {"number": runs}


def _cancel_question(runs: int) -> str:
    return ngettext("Cancel %(number)s run?", "Cancel %(number)s runs?", runs) % {"number": runs}


def _approval_question(runs: int) -> str:
    return ngettext("Approve %(number)s run?", "Approve %(number)s runs?", runs) % {"number": runs}


_ACTIONS: Final = {
    "retry_many": Action(_retry_question, _("Run again"), _foresee_retry, _retry),
    "cancel_many": Action(_cancel_question, _("Cancel runs"), _foresee_cancel, _cancel),
    "approve_many": Action(_approval_question, _("Approve"), _foresee_approval, _approve),
}
