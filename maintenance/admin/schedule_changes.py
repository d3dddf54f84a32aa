"""The four things that people do to many schedules at once: what each asks, what it will do to a schedule, and doing it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db import Error
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_celery_beat.models import PeriodicTask

from adminkit.forms import EndField
from database import clock
from database.messages import gettext, ngettext
from maintenance.registry import Person
from maintenance.scheduling import many_edits, schedules, slots, time_rows
from maintenance.scheduling.crontab import InvalidTime
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.many_edits import Refuse, Result
from maintenance.scheduling.replanning import replan
from maintenance.scheduling.shifting import MINUTES_A_DAY
from maintenance.scheduling.timing import Timing

logger = logging.getLogger(__name__)
Values = Mapping[str, Any]


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
class Change:
    """One thing to do with many schedules."""

    button: Any  # a lazy text
    form: type[forms.Form]
    # Ask, and say what was done, for a number of schedules; with %(number)s.
    question: Callable[[int], str]
    done: Callable[[int], str]
    # Does it to all of them, in one transaction.
    do: Callable[[list[int], Person, Values, Refuse], Result]
    # Says what it will do to one schedule; raises ValueError with the refusal.
    foresee: Callable[[PeriodicTask, Values], str]
    # Makes a copy of the schedule what the schedule will be; None: it will not be any more.
    become: Callable[[PeriodicTask, Values], None] | None
    # Says it of those that are only counted, if not in the same words.
    in_general: Callable[[Values], str] | None = None


def _refuse_what_has_run(task: PeriodicTask) -> None:
    if schedules.has_run(task):
        raise ValueError(many_edits.has_run_in_words())


def _pause(keys: list[int], by: Person, values: Values, refuse: Refuse) -> Result:
    return many_edits.pause_many(keys, by=by, reason=values["reason"], until=values["until"], refuse=refuse)


def _foresee_pause(task: PeriodicTask, values: Values) -> str:
    _refuse_what_has_run(task)
    return gettext("does not fire") if task.enabled else gettext("is paused already: the pause is changed")


def _become_paused(later: PeriodicTask, values: Values) -> None:
    later.enabled = False
    later.control.effective_from = clock.now()
    later.control.paused_at, later.control.paused_until = clock.now(), values.get("until")


def _resume(keys: list[int], by: Person, values: Values, refuse: Refuse) -> Result:
    return many_edits.resume_many(keys, by=by, reason=values["reason"], refuse=refuse)


def _foresee_resume(task: PeriodicTask, values: Values) -> str:
    _refuse_what_has_run(task)
    if task.enabled:
        return gettext("is active already")
    number = caught_up_if_resumed(task, values["modes"])
    if not number:
        return gettext("fires again from its next slot on")
    text = ngettext(
        "fires again from its next slot on, and catches up %(number)s slot of its pause",
        "fires again from its next slot on, and catches up %(number)s slots of its pause",
        number,
    )
    return text % {"number": number}


def caught_up_if_resumed(task: PeriodicTask, modes: Modes) -> int:
    """Return how many slots of its pause the schedule will catch up if it is resumed now; 0 if it cannot fire."""
    control = schedules.control_or_default(task)
    try:
        return slots.caught_up_if_resumed(task, control, now=clock.now(), holds=modes.holds_of(task))
    except Error:
        raise
    except Exception:  # other tools write schedules too: the page says what is wrong with it
        logger.info("%s: its slots cannot be told.", task.name, exc_info=True)
        return 0


def _become_resumed(later: PeriodicTask, values: Values) -> None:
    later.enabled = True
    replan(later, later.control, now=clock.now(), modes=values["modes"])
    later.control.paused_at = later.control.paused_until = None


def _shift(keys: list[int], by: Person, values: Values, refuse: Refuse) -> Result:
    return many_edits.shift_many(
        keys, by=by, minutes=values["minutes"], reason=values["reason"], refuse=refuse
    )


def _foresee_shift(task: PeriodicTask, values: Values) -> str:
    _refuse_what_has_run(task)
    try:
        time = time_rows.moved(Timing.of(task), values.get("minutes", 0))
    except InvalidTime as error:
        raise ValueError(error.message) from error
    return str(time.crontab) if "minutes" in values else ""


def _moves(values: Values) -> str:
    minutes = values.get("minutes", 0)
    if minutes < 0:
        text = ngettext("starts %(number)s minute earlier", "starts %(number)s minutes earlier", -minutes)
    else:
        text = ngettext("starts %(number)s minute later", "starts %(number)s minutes later", minutes)
    return text % {"number": abs(minutes)} if minutes else gettext("moves in time")


def _become_shifted(later: PeriodicTask, values: Values) -> None:
    time = time_rows.moved(Timing.of(later), values["minutes"])
    assert time.crontab is not None
    later.crontab = time_rows.unsaved_crontab(time.crontab, time.zone)
    later.control.effective_from = clock.now()


def _delete(keys: list[int], by: Person, values: Values, refuse: Refuse) -> Result:
    return many_edits.delete_many(keys, by=by, reason=values["reason"], refuse=refuse)


def _foresee_delete(task: PeriodicTask, values: Values) -> str:
    if task.task in values["coming_back"]:
        return gettext("is deleted, its runs stay; the next deploy creates the default of its job again")
    return gettext("is deleted, its runs stay")


CHANGES: Mapping[str, Change] = {
    "pause_many": Change(
        button=_("Pause"),
        form=PauseAllForm,
        question=lambda number: ngettext("Pause %(number)s schedule?", "Pause %(number)s schedules?", number),
        done=lambda number: ngettext(
            "%(number)s schedule was paused.", "%(number)s schedules were paused.", number
        ),
        do=_pause,
        foresee=_foresee_pause,
        become=_become_paused,
    ),
    "resume_many": Change(
        button=_("Resume"),
        form=ReasonForAllForm,
        question=lambda number: ngettext(
            "Resume %(number)s schedule?", "Resume %(number)s schedules?", number
        ),
        done=lambda number: ngettext(
            "%(number)s schedule was resumed.", "%(number)s schedules were resumed.", number
        ),
        do=_resume,
        foresee=_foresee_resume,
        become=_become_resumed,
    ),
    "shift_many": Change(
        button=pgettext_lazy("in time", "Move"),
        form=ShiftForm,
        question=lambda number: ngettext(
            "Move %(number)s schedule in time?", "Move %(number)s schedules in time?", number
        ),
        done=lambda number: ngettext(
            "%(number)s schedule was moved.", "%(number)s schedules were moved.", number
        ),
        do=_shift,
        foresee=_foresee_shift,
        become=_become_shifted,
        in_general=_moves,
    ),
    "delete_many": Change(
        button=_("Delete"),
        form=ReasonForAllForm,
        question=lambda number: ngettext(
            "Delete %(number)s schedule?", "Delete %(number)s schedules?", number
        ),
        done=lambda number: ngettext(
            "%(number)s schedule was deleted.", "%(number)s schedules were deleted.", number
        ),
        do=_delete,
        foresee=_foresee_delete,
        become=None,
    ),
}


def context_of(name: str, tasks: list[PeriodicTask]) -> dict[str, Any]:
    """Return what foreseeing an action needs beside the values of its form."""
    match name:
        case "delete_many":
            return {"coming_back": schedules.coming_back(tasks)}
        case "resume_many":
            return {"modes": Modes()}
        case _:
            return {}
