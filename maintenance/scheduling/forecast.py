"""When a schedule will really start its job next: its fire times, less those that a pause or maintenance mode holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from maintenance.models import MaintenanceMode, ScheduleControl, Window
from maintenance.scheduling import slots
from maintenance.scheduling.timing import Timing

JUST_BEFORE = timedelta(microseconds=1)


class Hold(TextChoices):
    """What keeps a schedule from firing for some time."""

    NONE = "", _("nothing")
    PAUSE = "pause", _("pause")
    MAINTENANCE = "maintenance", _("maintenance mode")
    SCRAPING = "scraping", _("pause of scraping")


@dataclass(frozen=True)
class Forecast:
    """The future of one schedule."""

    # The next times, ascending, in UTC; each will happen unless somebody changes something.
    times: list[datetime]
    # What must end before the first of them.
    hold: Hold
    # When that ends; None: there is no hold, or it has no end.
    held_until: datetime | None
    # It will not fire again, even if a pause ends.
    is_over: bool

    @property
    def next_at(self) -> datetime | None:
        """The first of the times."""
        return self.times[0] if self.times else None


def forecast(
    task: PeriodicTask,
    timing: Timing,
    control: ScheduleControl,
    *,
    now: datetime,
    window: Window,
    number: int = 1,
) -> Forecast:
    """Return the next times of the schedule, up to ``number``. ``window``: the switches that apply to it.

    Raises:
        InvalidSchedule: for what can never fire.
    """
    # A slot whose moment has come but that is not ticked yet belongs to the future too.
    since = min(now, max(control.settled_until, now - timedelta(seconds=slots.MISFIRE_SECONDS)))
    if task.one_off and not task.enabled and control.paused_at is None:
        return Forecast([], Hold.NONE, None, is_over=True)  # it has run
    hold, until = _hold(task, control, window)
    is_over = _first(timing, control, since) is None
    if hold is Hold.NONE:
        times = timing.fire_times(after=since, anchor=control.effective_from)
    elif until is None:
        times = iter(())
    else:
        times = _after_the_hold(task, timing, control, since=since, until=until, hold=hold)
    return Forecast(list(islice(times, number)), hold, until, is_over)


def _first(timing: Timing, control: ScheduleControl, since: datetime) -> datetime | None:
    return next(timing.fire_times(after=since, anchor=control.effective_from), None)


def _hold(task: PeriodicTask, control: ScheduleControl, window: Window) -> tuple[Hold, datetime | None]:
    """Return what holds the schedule, and until when: of several holds the one that ends last, or has no end."""
    holds = [] if task.enabled else [(Hold.PAUSE, control.paused_until)]
    holds += [(_hold_of(mode), mode.until) for mode in window.modes if mode.is_on]
    endless = [hold for hold in holds if hold[1] is None]
    if endless:
        return endless[0]
    return max(holds, key=lambda hold: (hold[1], hold[0] != Hold.PAUSE), default=(Hold.NONE, None))


def _hold_of(mode: MaintenanceMode) -> Hold:
    return Hold.MAINTENANCE if mode.scope == MaintenanceMode.Scope.ALL else Hold.SCRAPING


def _after_the_hold(
    task: PeriodicTask,
    timing: Timing,
    control: ScheduleControl,
    *,
    since: datetime,
    until: datetime,
    hold: Hold,
) -> Iterator[datetime]:
    """Yield the times after a hold; slots inside it run at its end if the schedule catches up after pauses."""
    # A slot at the exact end is not part of the hold.
    rest = timing.fire_times(after=until - JUST_BEFORE, anchor=control.effective_from)
    inside = next(
        timing.fire_times(after=since, until=until - JUST_BEFORE, anchor=control.effective_from), None
    )
    if inside is not None and _is_caught_up(task, control, hold):
        return chain([until], () if task.one_off else (slot for slot in rest if slot > until))
    return rest


def _is_caught_up(task: PeriodicTask, control: ScheduleControl, hold: Hold) -> bool:
    if task.one_off and hold is not Hold.PAUSE:
        return True
    return control.catch_up_after_pause and control.misfire_policy != ScheduleControl.MisfirePolicy.SKIP
