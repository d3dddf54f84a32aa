"""What people do to many schedules at once: pause, resume, move in time, delete."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from adminkit.forms import EndField
from adminkit.links import select_box
from database import clock
from database.messages import gettext, ngettext
from maintenance.admin import schedule_versions
from maintenance.registry import Person
from maintenance.scheduling import edits, schedules
from maintenance.scheduling.crontab import Crontab, InvalidCrontab
from maintenance.scheduling.reading import Reading, read_all
from maintenance.scheduling.shifting import MINUTES_A_DAY, CannotShift, shifted
from maintenance.scheduling.timing import Timing

# Each one is a transaction of its own, within one request.
SELECTED_MAX = 500


class ReasonForAllForm(forms.Form):
    """One reason for all of them."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )


class PauseAllForm(ReasonForAllForm):
    """The reason and the optional end of the pauses."""

    until = EndField(help_text=_("Empty: until somebody resumes them."))


class ShiftForm(ReasonForAllForm):
    """The reason, and by how many minutes."""

    minutes = forms.IntegerField(
        label=_("Minutes"),
        min_value=-MINUTES_A_DAY,
        max_value=MINUTES_A_DAY,
        help_text=_("How much later each starts; a negative number: earlier."),
    )

    def clean_minutes(self) -> int:
        """Refuse a move that changes nothing."""
        minutes: int = self.cleaned_data["minutes"]
        if not minutes % MINUTES_A_DAY:
            raise forms.ValidationError(_("That is the same time of day. Enter another number of minutes."))
        return minutes


@dataclass(frozen=True)
class Outcome:
    """What will happen to one schedule."""

    task: PeriodicTask
    reading: Reading
    # As it will be: with its next time; None: it will not be any more, or that is not known.
    later: PeriodicTask | None = None
    later_reading: Reading | None = None
    # In the reader's language; empty: not known before the form is filled in.
    after: str = ""
    refusal: str = ""


Foresee = Callable[[PeriodicTask, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Action:
    """One thing to do with many schedules."""

    # Lazy texts.
    question: Any
    button: Any
    form: type[forms.Form]
    # Does it to one schedule; raises ValueError with the refusal.
    do: Callable[[ScheduleActions, HttpRequest, PeriodicTask, Mapping[str, Any]], None]
    # Says what it will do to one schedule; raises ValueError likewise.
    foresee: Foresee
    # Makes a copy of the schedule what the schedule will be; None: it will not be any more.
    become: Callable[[PeriodicTask, Mapping[str, Any]], None] | None


class ScheduleActions(admin.ModelAdmin):
    """The actions of the list of schedules, for their admin. Each schedule gets its own transaction and event."""

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

    def _ask_and_do(
        self, request: HttpRequest, tasks: QuerySet[PeriodicTask], name: str
    ) -> HttpResponse | None:
        """Ask, show what will happen to each, and do it when that was confirmed."""
        action = _ACTIONS[name]
        selected = list(tasks.select_related(*schedules.RELATED).order_by("name")[: SELECTED_MAX + 1])
        if len(selected) > SELECTED_MAX:
            text = gettext("At most %(number)s schedules at once: select fewer.")
            messages.error(request, text % {"number": SELECTED_MAX})
            return None
        form = action.form(request.POST if "reason" in request.POST else None)
        is_valid = form.is_valid()
        if is_valid and "confirmed" in request.POST:
            self._do(request, action, selected, form.cleaned_data)
            return None  # back to the list, filtered as it was
        values = form.cleaned_data if is_valid else {}
        return render(
            request,
            "maintenance/schedule_actions.html",
            {
                **self.admin_site.each_context(request),
                "title": action.question % {"number": len(selected)},
                "button": action.button,
                "form": form,
                "action": name,
                "outcomes": _outcomes(action, selected, values, is_known=is_valid or name != "shift_many"),
                "seen": schedule_versions.shown(selected),
                "is_checked": is_valid,
                "checkbox_name": ACTION_CHECKBOX_NAME,
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "select_across": request.POST.get("select_across", "0"),
            },
        )

    def _do(
        self, request: HttpRequest, action: Action, tasks: list[PeriodicTask], values: Mapping[str, Any]
    ) -> None:
        done = 0
        for task in tasks:
            try:
                with transaction.atomic():
                    action.do(self, request, _as_shown(request, task), values)
                done += 1
            except (ValueError, PermissionDenied) as refusal:
                text = gettext("%(name)s is left as it is: %(reason)s")
                messages.warning(request, text % {"name": schedules.title(task), "reason": refusal})
        text = ngettext("%(number)s schedule was changed.", "%(number)s schedules were changed.", done)
        messages.add_message(request, messages.SUCCESS if done else messages.WARNING, text % {"number": done})


def _as_shown(request: HttpRequest, task: PeriodicTask) -> PeriodicTask:
    """Return the schedule, locked; raise ValueError unless it is as the page showed it."""
    now = schedule_versions.locked(task)
    if now is None:
        raise ValueError(gettext("It was deleted meanwhile."))
    if not schedule_versions.was_shown(request.POST, now):
        raise ValueError(
            gettext("It was changed after this page was shown: look at it, and select it again.")
        )
    return now


def _outcomes(
    action: Action, tasks: list[PeriodicTask], values: Mapping[str, Any], *, is_known: bool
) -> list[Outcome]:
    """Return what will happen to each, in a number of queries that does not grow with theirs."""
    found = [
        _outcome(action, task, reading, values) for task, reading in zip(tasks, read_all(tasks), strict=True)
    ]
    if action.become is None or not is_known:
        return found
    changing = {
        outcome.task.pk: _later(action, outcome.task, values) for outcome in found if not outcome.refusal
    }
    readings = dict(zip(changing, read_all(list(changing.values())), strict=True))
    return [
        replace(outcome, later=changing.get(outcome.task.pk), later_reading=readings.get(outcome.task.pk))
        for outcome in found
    ]


def _outcome(action: Action, task: PeriodicTask, reading: Reading, values: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(task, reading, after=action.foresee(task, values))
    except ValueError as refusal:
        return Outcome(task, reading, refusal=str(refusal))


def _later(action: Action, task: PeriodicTask, values: Mapping[str, Any]) -> PeriodicTask:
    """Return an unsaved copy of the schedule as it will be."""
    later = copy.copy(task)
    later.control = copy.copy(schedules.control_or_default(task))
    later.control.effective_from = clock.now()
    assert action.become is not None
    action.become(later, values)
    return later


def _become_paused(later: PeriodicTask, values: Mapping[str, Any]) -> None:
    later.enabled = False
    later.control.paused_at, later.control.paused_until = clock.now(), values.get("until")


def _become_resumed(later: PeriodicTask, values: Mapping[str, Any]) -> None:
    later.enabled = True
    later.control.paused_at = later.control.paused_until = None


def _parts(crontab: Crontab) -> dict[str, str]:
    return {field.name: getattr(crontab, field.name) for field in fields(crontab)}


def _become_shifted(later: PeriodicTask, values: Mapping[str, Any]) -> None:
    timing = Timing.of(later)
    if timing.crontab is not None:
        later.crontab = CrontabSchedule(
            **_parts(shifted(timing.crontab, values["minutes"])), timezone=later.crontab.timezone
        )


def _pause(
    page: ScheduleActions, request: HttpRequest, task: PeriodicTask, values: Mapping[str, Any]
) -> None:
    edits.pause(task, by=_person(request), reason=values["reason"], until=values["until"])


def _foresee_pause(task: PeriodicTask, values: Mapping[str, Any]) -> str:
    return gettext("does not fire") if task.enabled else gettext("is paused already: the pause is changed")


def _resume(
    page: ScheduleActions, request: HttpRequest, task: PeriodicTask, values: Mapping[str, Any]
) -> None:
    edits.resume(task, by=_person(request), reason=values["reason"])


def _foresee_resume(task: PeriodicTask, values: Mapping[str, Any]) -> str:
    return gettext("is active already") if task.enabled else gettext("fires again from its next slot on")


def _shift(
    page: ScheduleActions, request: HttpRequest, task: PeriodicTask, values: Mapping[str, Any]
) -> None:
    edits.shift(task, by=_person(request), minutes=values["minutes"], reason=values["reason"])


def _foresee_shift(task: PeriodicTask, values: Mapping[str, Any]) -> str:
    crontab = Timing.of(task).crontab
    if crontab is None:
        raise CannotShift(gettext("It has no times of day: it runs by an interval, once, or by the sun."))
    try:
        return str(shifted(crontab, values["minutes"])) if "minutes" in values else ""
    except InvalidCrontab as error:
        raise ValueError(error.message) from error


def _delete(
    page: ScheduleActions, request: HttpRequest, task: PeriodicTask, values: Mapping[str, Any]
) -> None:
    page.delete_model(request, task)


def _foresee_delete(task: PeriodicTask, values: Mapping[str, Any]) -> str:
    if schedules.comes_back(task):
        return gettext("is deleted, its runs stay; the next deploy creates the default of its job again")
    return gettext("is deleted, its runs stay")


def _person(request: HttpRequest) -> Person:
    return request.user


_ACTIONS: Mapping[str, Action] = {
    "pause_many": Action(
        _("Pause %(number)s schedules?"), _("Pause"), PauseAllForm, _pause, _foresee_pause, _become_paused
    ),
    "resume_many": Action(
        _("Resume %(number)s schedules?"),
        _("Resume"),
        ReasonForAllForm,
        _resume,
        _foresee_resume,
        _become_resumed,
    ),
    "shift_many": Action(
        _("Move %(number)s schedules in time?"),
        pgettext_lazy("in time", "Move"),
        ShiftForm,
        _shift,
        _foresee_shift,
        _become_shifted,
    ),
    "delete_many": Action(
        _("Delete %(number)s schedules?"), _("Delete"), ReasonForAllForm, _delete, _foresee_delete, None
    ),
}
