"""What people do to many schedules at once, up to all that match the filters of the list: the page that asks, the answer."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.links import select_box
from adminkit.templatetags.display import number
from database.messages import gettext, ngettext
from maintenance.admin import schedule_versions
from maintenance.admin.schedule_changes import CHANGES, Change, Values, context_of
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.many_edits import SCHEDULES_MAX, Result
from maintenance.scheduling.reading import Reading, read_all

# So many are shown one by one; of the others, how many there are of each kind.
SHOWN_MAX = 20
# So many of those that are left as they are get named, for each reason.
NAMED_MAX = 5


@dataclass(frozen=True)
class Outcome:
    """What will happen to one schedule."""

    task: PeriodicTask
    # In the reader's language; empty: not known before the form is filled in.
    after: str = ""
    refusal: str = ""
    reading: Reading | None = None
    # As it will be: with its next time; None: it will not be any more, or that is not known.
    later: PeriodicTask | None = None
    later_reading: Reading | None = None


class ScheduleActions(admin.ModelAdmin):
    """The actions of the list of schedules, for their admin. Each is one transaction, with one event a schedule."""

    actions: Any = ["pause_many", "resume_many", "shift_many", "delete_many"]

    def get_actions(self, request: HttpRequest) -> Any:
        """Offer them to people who may change, or delete, schedules; Django's own deletion asks for no reason."""
        found = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def has_edit_permission(self, request: HttpRequest) -> bool:
        """Whether the person may pause, resume and retime schedules."""
        return request.user.has_perm(edits.PERMISSION)

    def action_checkbox(self, obj: PeriodicTask) -> SafeString:
        """Label the box with the schedule's title; Django's own has its times as they are stored."""
        label = gettext("Select %(name)s") % {"name": schedules.title(obj)}
        return select_box(ACTION_CHECKBOX_NAME, obj.pk, label)

    @admin.action(permissions=["edit"], description=_("Pause…"))
    def pause_many(self, request: HttpRequest, tasks: QuerySet[PeriodicTask]) -> HttpResponse | None:
        """Pause the selected ones."""
        return self._ask_and_do(request, tasks, "pause_many")

    @admin.action(permissions=["edit"], description=_("Resume…"))
    def resume_many(self, request: HttpRequest, tasks: QuerySet[PeriodicTask]) -> HttpResponse | None:
        """Resume the selected ones."""
        return self._ask_and_do(request, tasks, "resume_many")

    @admin.action(permissions=["edit"], description=_("Move in time…"))
    def shift_many(self, request: HttpRequest, tasks: QuerySet[PeriodicTask]) -> HttpResponse | None:
        """Move the selected ones by some minutes."""
        return self._ask_and_do(request, tasks, "shift_many")

    @admin.action(permissions=["delete"], description=_("Delete…"))
    def delete_many(self, request: HttpRequest, tasks: QuerySet[PeriodicTask]) -> HttpResponse | None:
        """Delete the selected ones."""
        return self._ask_and_do(request, tasks, "delete_many")

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> Any:
        """Remember what matches the list: the page of an action offers all of it, also without JavaScript."""
        vars(request)["matching"] = queryset
        return super().response_action(request, queryset, *args)

    def _ask_and_do(
        self, request: HttpRequest, tasks: QuerySet[PeriodicTask], name: str
    ) -> HttpResponse | None:
        """Ask, show what will happen, and do it when that was confirmed."""
        change = CHANGES[name]
        keys = list(tasks.order_by().values_list("pk", flat=True)[: SCHEDULES_MAX + 1])
        if len(keys) > SCHEDULES_MAX:
            text = gettext("At most %(number)s schedules at once: filter the list, or select fewer.")
            messages.error(request, text % {"number": number(SCHEDULES_MAX)})
            return None
        if not keys and "confirmed" not in request.POST:
            messages.warning(request, gettext("None of the selected schedules is left: nothing was done."))
            return None
        # Not by the button that takes all that match: nothing is missing yet.
        is_asked = "reason" in request.POST and len(request.POST.getlist("select_across")) < 2
        form = change.form(request.POST if is_asked else None, initial=request.POST.dict())
        is_valid = form.is_valid()
        is_shown = is_valid and request.POST.get("shown_minutes", "") in ("", request.POST.get("minutes"))
        if is_valid and "confirmed" in request.POST and not is_shown:
            messages.warning(
                request, gettext("The minutes were changed: look at what they do, then confirm.")
            )
        elif is_valid and "confirmed" in request.POST:
            self._do(request, change, keys, form.cleaned_data)
            return None  # back to the list, filtered as it was
        selected = list(tasks.select_related(*schedules.RELATED).order_by("name")[:SCHEDULES_MAX])
        values = {**(form.cleaned_data if is_valid else {}), **context_of(name, selected)}
        outcomes = [_outcome(change, task, values) for task in selected]
        is_known = is_valid or name != "shift_many"
        return render(
            request,
            "maintenance/schedule_actions.html",
            {
                **self.admin_site.each_context(request),
                "title": change.question(len(selected)) % {"number": number(len(selected))},
                "button": change.button,
                "form": form,
                "action": name,
                "kinds": _kinds(change, outcomes, values) if len(outcomes) > SHOWN_MAX else [],
                "outcomes": _in_full(change, outcomes[:SHOWN_MAX], values, is_known=is_known),
                "others": max(0, len(outcomes) - SHOWN_MAX),
                "seen": schedule_versions.shown(selected),
                "is_checked": is_valid,
                "checkbox_name": ACTION_CHECKBOX_NAME,
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "select_across": request.POST.get("select_across", "0"),
                "matching": _matching(request, more_than=len(selected)),
            },
        )

    def _do(self, request: HttpRequest, change: Change, keys: list[int], values: Values) -> None:
        """Do it to those that are as the page showed them, and say what became of all others."""
        shown = schedule_versions.posted(request.POST)

        def refuse(task: PeriodicTask) -> str:
            if shown.get(task.pk) == schedule_versions.version_of(task):
                return ""
            return gettext(
                "It was changed, or came into the list, after the page was shown. Look at it, and select it again."
            )

        result = change.do(keys, request.user, values, refuse)
        for reason, left in result.refused.items():
            messages.warning(request, _left(left, reason))
        if gone := len(shown.keys() - result.found):
            text = ngettext(
                "%(number)s schedule that the page showed was deleted meanwhile, or does not match the list any more:"
                " nothing was done to it.",
                "%(number)s schedules that the page showed were deleted meanwhile, or do not match the list any more:"
                " nothing was done to them.",
                gone,
            )
            messages.warning(request, text % {"number": number(gone)})
        _tell_done(request, change, result)


def _matching(request: HttpRequest, *, more_than: int) -> int | None:
    """Return how many schedules match the list, if the action can take them and has not; else None."""
    matching: QuerySet[PeriodicTask] = vars(request)["matching"]
    found = matching.order_by()[: SCHEDULES_MAX + 1].count()
    return found if more_than < found <= SCHEDULES_MAX else None


def _tell_done(request: HttpRequest, change: Change, result: Result) -> None:
    if result.unchanged:
        text = ngettext(
            "%(number)s schedule was active already.",
            "%(number)s schedules were active already.",
            result.unchanged,
        )
        messages.info(request, text % {"number": number(result.unchanged)})
    done = change.done(result.changed) % {"number": number(result.changed)}
    messages.add_message(request, messages.SUCCESS if result.changed else messages.WARNING, done)


def _left(tasks: list[PeriodicTask], reason: str) -> str:
    """Return the message about schedules that are left as they are for this reason."""
    if len(tasks) == 1:
        text = gettext("%(name)s is left as it is: %(reason)s")
        return text % {"name": schedules.title(tasks[0]), "reason": reason}
    names = ", ".join(schedules.title(task) for task in tasks[:NAMED_MAX])
    text = gettext("%(number)s schedules are left as they are (%(names)s). For each: %(reason)s")
    names += ", …" if len(tasks) > NAMED_MAX else ""
    return text % {"number": number(len(tasks)), "names": names, "reason": reason}


def _outcome(change: Change, task: PeriodicTask, values: Values) -> Outcome:
    try:
        return Outcome(task, after=change.foresee(task, values))
    except ValueError as refusal:
        return Outcome(task, refusal=str(refusal))


def _kinds(change: Change, outcomes: list[Outcome], values: Values) -> list[tuple[int, str, bool]]:
    """Return how many schedules there are of each outcome, the most frequent first, and whether it is a refusal."""
    in_general = change.in_general(values) if change.in_general else ""
    counted = Counter(
        (outcome.refusal or in_general or outcome.after, bool(outcome.refusal)) for outcome in outcomes
    )
    return [(count, text, is_refusal) for (text, is_refusal), count in counted.most_common()]


def _in_full(change: Change, outcomes: list[Outcome], values: Values, *, is_known: bool) -> list[Outcome]:
    """Add how the schedules are now and will be, in a number of queries that does not grow with theirs."""
    readings = read_all([outcome.task for outcome in outcomes])
    found = [replace(one, reading=reading) for one, reading in zip(outcomes, readings, strict=True)]
    if change.become is None or not is_known:
        return found
    changing = {
        outcome.task.pk: _later(change, outcome.task, values) for outcome in found if not outcome.refusal
    }
    later_readings = dict(zip(changing, read_all(list(changing.values())), strict=True))
    return [
        replace(
            outcome, later=changing.get(outcome.task.pk), later_reading=later_readings.get(outcome.task.pk)
        )
        for outcome in found
    ]


def _later(change: Change, task: PeriodicTask, values: Values) -> PeriodicTask:
    """Return an unsaved copy of the schedule as it will be."""
    later = copy.copy(task)
    later.control = copy.copy(schedules.control_or_default(task))
    assert change.become is not None
    change.become(later, values)
    return later
