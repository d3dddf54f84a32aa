"""What holds runs and slots: a pause, maintenance mode, a planned window, a day off."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from adminkit.templatetags.display import moment
from audit.models import Event
from maintenance.explanations.cause import Cause, between_quotes, last_event, paused_by, who
from maintenance.models import JobRun, MaintenanceMode
from maintenance.models.groups import group_title
from maintenance.models.maintenance_mode import ALL
from maintenance.registry import get_job, is_known
from maintenance.scheduling.holds import Hold, Period
from maintenance.scheduling.maintenance_mode import ENDED, STARTED, Modes


def explain_period(period: Period, sentence: str) -> Cause:
    """Return the cause that this holds; ``sentence`` says what follows, with ``%(pause)s`` for what holds."""
    if period.kind is Hold.DAY_OFF:
        return Cause("day_off", sentence % {"pause": day_off(period)})
    if period.kind is Hold.WINDOW:
        remedy = _("End the window to go on.")
        return Cause("planned_window", sentence % {"pause": window(period)}, remedy, period.about)
    pause = paused_by(period.about.started_at, period.by, period.reason, period.end)
    if period.scope == ALL:
        sentence = sentence % {"pause": _("maintenance mode, %(pause)s") % {"pause": pause}}
        return Cause("maintenance_mode", sentence, _("Switch maintenance mode off to go on."), period.about)
    sentence = sentence % {
        "pause": _("%(group)s is %(pause)s") % {"group": group_title(period.scope), "pause": pause}
    }
    return Cause("group_paused", sentence, _("End the pause to go on."), period.about)


def window(period: Period) -> str:
    """Return "window “…”, planned by …, until …"."""
    told = {
        "reason": between_quotes(period.reason),
        "name": period.by or _("somebody"),
        "until": moment(period.end),
    }
    return _("window “%(reason)s”, planned by %(name)s, until %(until)s") % told


def day_off(period: Period) -> str:
    """Return "a day off (…), until …"."""
    return _("a day off (%(name)s), until %(until)s") % {"name": period.reason, "until": moment(period.end)}


def slot_held(run: JobRun) -> Cause | None:
    """Return in what the slot of the run passed: a pause of the schedule, a window, a day off, a switch over many."""
    slot = run.scheduled_for or run.queued_at
    schedule = run.schedule
    if schedule is not None:
        if (pause := _own_pause(run)) is not None:
            return pause
        period = Modes().holds_of(schedule).at(slot)
        if period is not None and period.kind in (Hold.WINDOW, Hold.DAY_OFF):
            return explain_period(period, _("%(slot)s did not run: %(pause)s.") % _slot_and_pause(slot))
    started = _switched_on(run, slot)
    if started is None:
        return None
    text = _(
        "The slot of %(slot)s passed during a pause of many schedules: %(name)s, %(time)s, “%(reason)s”."
    )
    told = {
        "slot": moment(slot),
        "name": who(started),
        "time": moment(started.at),
        "reason": between_quotes(started.reason),
    }
    return Cause("maintenance_mode", text % told)


def _switched_on(run: JobRun, slot: datetime) -> Event | None:
    """Return by what the latest of the switches over the run's job was on at the slot; None: all were off."""
    group = get_job(run.job).group if is_known(run.job) else ""
    modes = MaintenanceMode.objects.filter(scope__in={ALL, group})
    latest = (last_event(mode, STARTED, ENDED, until=slot) for mode in modes)
    on = [event for event in latest if event is not None and event.verb == STARTED]
    return max(on, key=lambda event: event.at, default=None)


def _slot_and_pause(slot: Any) -> dict[str, str]:
    """Return the slot, and the place of the pause as it is."""
    return {"slot": moment(slot), "pause": "%(pause)s"}


def _own_pause(run: JobRun) -> Cause | None:
    slot, schedule = run.scheduled_for or run.queued_at, run.schedule
    event = last_event(schedule, "schedule.paused", until=slot)
    if event is None:
        return None
    resumed = last_event(schedule, "schedule.resumed", until=slot)
    if resumed is not None and resumed.at >= event.at:
        return None
    stored: Any = event.after or {}
    pause = paused_by(event.at, who(event), event.reason or stored.get("pause", ""), None)
    text = _("The slot of %(slot)s passed while the schedule was %(pause)s.")
    return Cause("paused", text % {"slot": moment(slot), "pause": _without_end(pause)}, about=schedule)


def _without_end(pause: str) -> str:
    return pause.removesuffix(_(", without an end"))
