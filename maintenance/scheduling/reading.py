"""Reads a stored schedule for pages and logs; never raises, whatever is stored.

Other tools and hosts write schedules too, and a schedule may outlive the rows that it names: a time zone may be
unknown on this host, a crontab row may be gone, an interval zero, the bot of a parameter deleted. Every page and log
that shows a schedule reads it here, and shows what is wrong with it, and the remedy, instead of an error page.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask, SolarSchedule

from database import clock, zones
from maintenance.registry import InvalidParams, Job, read_params
from maintenance.scheduling import maintenance_mode, schedules
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.forecast import Forecast, forecast
from maintenance.scheduling.holds import Hold, Period
from maintenance.scheduling.targets import is_gone, no_such_job
from maintenance.scheduling.timing import Timing

logger = logging.getLogger(__name__)

NOTHING = Forecast([], None, None, is_over=False)

# The names of the crontab fields, as in the form of a schedule.
LABELS = {
    "minute": gettext_lazy("Minute"),
    "hour": gettext_lazy("Hour"),
    "day_of_month": gettext_lazy("Day of month"),
    "month_of_year": gettext_lazy("Month"),
    "day_of_week": gettext_lazy("Day of week"),
}


@dataclass(frozen=True)
class Reading:
    """One schedule in the reader's language."""

    sentence: str
    # Why it does not fire, with the remedy; empty: it fires.
    timing_fault: str
    # Why its runs end at once, with the remedy; empty: the job accepts its parameters.
    params_fault: str
    zone: str
    crontab: Crontab | None
    # When it starts its job next, in the schedule's zone; after the hold, if there is one.
    next_run_at: datetime | None
    held: Period | None  # what holds it now
    held_until: datetime | None  # in the schedule's zone
    # It is neither broken nor paused, and has no more slots.
    is_over: bool
    job: Job | None  # None: a task that is no job of ours, or a removed job
    params: Mapping[str, Any] | None  # None: the job does not accept them
    # When its own pause ended, in the schedule's zone, if no scheduler has resumed it since; None: that is not so.
    pause_ended_at: datetime | None = None

    @property
    def hold(self) -> Hold:
        """The kind of what holds it now."""
        return self.held.kind if self.held else Hold.NONE

    @property
    def schedule_error(self) -> str:
        """Everything that is wrong with it, as one text."""
        return " ".join(fault for fault in (self.timing_fault, self.params_fault) if fault)

    @property
    def is_broken(self) -> bool:
        """Whether it does not fire, or its runs end at once."""
        return bool(self.timing_fault or self.params_fault)

    @property
    def takes_crontab(self) -> bool:
        """Whether its form edits a crontab: its own, or one that replaces an unusable time."""
        return self.crontab is not None or bool(self.timing_fault)


def read(task: PeriodicTask) -> Reading:
    """Return the reading of a schedule; raises only if the database is not reachable."""
    return read_all([task])[0]


def read_all(tasks: Sequence[PeriodicTask], *, modes: maintenance_mode.Modes | None = None) -> list[Reading]:
    """Return the reading of each schedule, in a number of queries that does not grow with theirs.

    Load them with ``select_related(*schedules.RELATED)``. ``modes``: the switches, if the caller has already read them.
    """
    known = _known_values(tasks)
    modes = modes or maintenance_mode.Modes()
    return [_read(task, known.get(task.task, {}), modes) for task in tasks]


def _known_values(tasks: Iterable[PeriodicTask]) -> dict[str, dict[str, set[int]]]:
    """Return, by task and parameter, which of the rows that the schedules name exist."""
    named: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    models = {}
    for task in tasks:
        job = schedules.job_of(task)
        if job is None or not job.refers_to:
            continue
        try:
            params = read_params(task.kwargs)
        except InvalidParams:
            continue
        for name, model in job.refers_to.items():
            models[task.task, name] = model
            if type(params.get(name)) is int and abs(params[name]) < 2**63:
                named[task.task][name].add(params[name])
    return {
        task: {
            name: set(models[task, name]._default_manager.filter(pk__in=keys).values_list("pk", flat=True))
            for name, keys in by_name.items()
        }
        for task, by_name in named.items()
    }


def _read(task: PeriodicTask, known: Mapping[str, set[int]], modes: maintenance_mode.Modes) -> Reading:
    timing, job = Timing.of(task), schedules.job_of(task)
    params, params_fault = _params(task, job, known)
    zone = zones.find(timing.zone or settings.TIME_ZONE)
    sentence, timing_fault, coming = "", "", NOTHING
    control, now = schedules.control_or_default(task), clock.now()
    end = control.paused_until if not task.enabled else None
    try:
        timing_fault = _timing_fault(timing)
        sentence = "" if timing_fault else schedules.describe(task, get_language() or "en")
        if not timing_fault:
            coming = forecast(task, timing, control, now=now, holds=modes.holds_of(task))
    except Error:
        raise  # the database is not reachable, which is no error of the schedule
    except Exception as error:
        logger.warning("%s cannot be read.", task.name, exc_info=True)
        timing_fault = _("Its fire times cannot be computed (%(error)s): give it another time.") % {
            "error": f"{type(error).__name__}: {error}"
        }
    return Reading(
        sentence=sentence,
        timing_fault=timing_fault,
        params_fault=params_fault,
        zone=timing.zone or settings.TIME_ZONE,
        crontab=timing.crontab,
        next_run_at=coming.next_at and coming.next_at.astimezone(zone),
        held=coming.held,
        held_until=coming.held_until and coming.held_until.astimezone(zone),
        is_over=coming.is_over,
        job=job,
        params=params,
        pause_ended_at=end.astimezone(zone) if end is not None and end <= now else None,
    )


def _params(
    task: PeriodicTask, job: Job | None, known: Mapping[str, set[int]]
) -> tuple[dict[str, Any] | None, str]:
    """Return the parameters as the job gets them, or what is wrong with them."""
    if job is None:
        return None, no_such_job(task) if is_gone(task) else ""
    try:
        return job.clean_stored(task.kwargs, known=known), ""
    except InvalidParams as error:
        return None, _("The job does not take its parameters: %(error)s") % {"error": error.text}


def _timing_fault(timing: Timing) -> str:
    """Return why no fire time can be computed, with the remedy; empty: no fault is known."""
    if timing.crontab is not None:
        if zones.find(timing.zone) is None:
            text = _(
                "This host knows no time zone %(name)s: choose another, or renew its time zone database."
            )
            return text % {"name": timing.zone}
        try:
            timing.crontab.validate()
        except InvalidCrontab as error:
            return f"{LABELS[error.field]}: {error.message}"
        return ""
    if timing.every is not None:
        return (
            ""
            if timing.every.total_seconds() > 0
            else _("Its interval is not longer than zero: give it another time.")
        )
    if timing.solar is not None:
        known = dict(SolarSchedule._meta.get_field("event").flatchoices)
        return "" if timing.solar[0] in known else _("The sun has no such event: give it another time.")
    return "" if timing.clocked is not None else _("It has no time: give it one.")
