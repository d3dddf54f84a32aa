"""Why a schedule fires or does not, and what became of one of its slots."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from adminkit.templatetags.display import duration, moment, zoned
from database import clock
from maintenance.explanations.cause import Cause, last_event, paused_by, who
from maintenance.explanations.clock_gaps import in_gap
from maintenance.explanations.held import explain_period
from maintenance.explanations.runs import explain_run
from maintenance.ledger.run_sums import NO_RUN
from maintenance.models import JobRun, Person, ScheduleControl
from maintenance.models.statuses import FAILURES, Status
from maintenance.scheduling import schedules
from maintenance.scheduling.forecast import Hold, as_resumed
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.reading import Reading, read_all
from maintenance.scheduling.scheduler_health import SchedulerHealth, scheduler_health
from maintenance.scheduling.timing import Timing
from maintenance.yields.shown import verdict_of

# A slot is given to the minute.
MINUTE = timedelta(minutes=1)
# Holds that are known before they begin.
PLANNED = (Hold.WINDOW, Hold.DAY_OFF)
JUST_BEFORE = timedelta(microseconds=1)


def explain_schedule(task: PeriodicTask, *, seen_by: Person | None = None) -> list[Cause]:
    """Return when the schedule fires next or why it does not, then why its latest run did not succeed.

    Args:
        task: the schedule.
        seen_by: who asks, None for a shell. Who may not see all runs is told nothing of them.
    """
    modes = Modes()
    reading = read_all([task], modes=modes)[0]
    causes = list(why_not(task, reading, modes))
    if not causes and reading.next_run_at is not None:
        text = _("It fires next at %(time)s.") % {"time": zoned(reading.next_run_at)}
        causes.append(Cause("fires", text))
    if seen_by is not None and not seen_by.has_perm("maintenance.view_jobrun"):
        return causes
    latest = JobRun.objects.filter(schedule=task.pk).order_by("-scheduled_for").first()
    if latest is not None and (latest.status in FAILURES or not latest.is_final):
        text = _("Its latest run, #%(id)s of %(time)s: %(status)s.")
        told = {"id": latest.pk, "time": moment(latest.scheduled_for), "status": latest.get_status_display()}
        causes += [Cause("latest_run", text % told, about=latest), *explain_run(latest)]
    elif (verdict := verdict_of(task.pk)) is not None:
        causes.append(Cause("unusual_rows", str(verdict.figures_text), str(verdict.cause), about=task))
    return causes


def why_not(task: PeriodicTask, reading: Reading, modes: Modes) -> Iterator[Cause]:
    """Yield everything that keeps the schedule from firing now; nothing if it fires."""
    control = schedules.control_or_default(task)
    if reading.is_broken:
        yield Cause("broken", reading.schedule_error, about=task)
        return
    if reading.is_over:
        # The end of a pause would change nothing, nor would a scheduler.
        yield _over(task, control)
        return
    if not task.enabled:
        yield _paused(task, control)
    for period in modes.holds_of(task).now(clock.now()):
        yield explain_period(period, _("It does not fire: %(pause)s."))
    if task.start_time is not None and task.start_time > clock.now():
        text = _("It starts at %(time)s, as it was told.") % {"time": moment(task.start_time)}
        yield Cause("not_yet", text)
    health = scheduler_health(modes)
    if not health.is_alive:
        yield _no_scheduler(health)


def _paused(task: PeriodicTask, control: ScheduleControl) -> Cause:
    if control.paused_at is None:
        text = _("It is disabled, and not by the console: another tool has done it.")
        return Cause("disabled", text, _("Resume it on its page."), task)
    name = control.paused_by.get_username() if control.paused_by else ""
    if not name:
        name = who(last_event(task, "schedule.paused"))
    if control.paused_until is not None and control.paused_until <= clock.now():
        text = _("Its pause ended at %(time)s; it fires once the scheduler has resumed it.")
        return Cause("paused", text % {"time": moment(control.paused_until)}, about=task)
    pause = paused_by(control.paused_at, name, control.pause_reason, control.paused_until)
    return Cause(
        "paused", _("It does not fire: %(pause)s.") % {"pause": pause}, _("Resume it to go on."), task
    )


def _over(task: PeriodicTask, control: ScheduleControl) -> Cause:
    if task.one_off and control.last_slot_at is not None:
        return _fired_once(task, control.last_slot_at)
    if task.expires is not None:
        text = _("Its end, %(time)s, is before its next fire time.")
        if task.expires <= clock.now():
            text = _("It ended at %(time)s, as it was told.")
        return Cause("ended", text % {"time": moment(task.expires)}, _("Give it a later end, or none."))
    return Cause("over", _("It has no more fire times."), _("Give it another time."))


def _fired_once(task: PeriodicTask, slot: datetime) -> Cause:
    rows = JobRun.objects.filter(schedule=task.pk, scheduled_for=slot)
    row = rows.filter(status__in=NO_RUN).first()
    # A tick notes it beside the row, which may be deleted.
    has_fired = task.last_run_at is not None and task.last_run_at >= slot
    if row is None and not has_fired and not rows.exists():
        text = _("It was to fire once, at %(time)s; whether it did is no longer in the history.")
        return Cause("history_deleted", text % {"time": moment(slot)}, _("Give it another time."))
    if row is None:
        return Cause("fired_once", _("It was to fire once, and did so at %(time)s.") % {"time": moment(slot)})
    text = _("It was to fire once, at %(time)s, and did not: %(status)s.")
    told = {"time": moment(slot), "status": row.get_status_display()}
    return Cause("never_fired", text % told, _("Give it another time."), row)


def _no_scheduler(health: SchedulerHealth) -> Cause:
    if health.has_lost_its_lease and health.tick_age is not None:
        text = _("No scheduler holds the lease, although one is alive; the last tick was %(time)s ago.")
        remedy = _("Read the log of celery beat; restart it if it does not go on.")
        return Cause("lease_lost", text % {"time": duration(health.tick_age)}, remedy)
    if health.tick_age is None:
        text = _("No scheduler is alive, and none has ever ticked.")
    else:
        text = _("No scheduler is alive; the last tick was %(time)s ago.") % {
            "time": duration(health.tick_age)
        }
    return Cause("no_scheduler", text, _("Start celery beat."))


def explain_slot(task: PeriodicTask, at: datetime) -> list[Cause]:
    """Return what became, or will become, of the slot of the minute that begins at ``at``."""
    return [*in_gap(task, at), *_what_became_of(task, at)]


def _what_became_of(task: PeriodicTask, at: datetime) -> list[Cause]:
    control, now = schedules.control_or_default(task), clock.now()
    of_schedule = JobRun.objects.filter(schedule=task.pk)
    row = (
        of_schedule.filter(scheduled_for__gte=at, scheduled_for__lt=at + MINUTE)
        .order_by("scheduled_for")
        .first()
    )
    if row is not None:
        return _of_row(row, at)
    if at > now:
        control = as_resumed(task, Timing.of(task), control, Modes().holds_of(task))
    slots = list(
        Timing.of(task).fire_times(
            after=at - JUST_BEFORE, until=at + MINUTE - JUST_BEFORE, anchor=control.effective_from
        )
    )
    if not slots:
        return [_no_slot(task, control, at)]
    if at > now:
        return _to_come(task, at)
    # One row may stand for several slots that did not run; it has the last one's time.
    later = of_schedule.filter(scheduled_for__gt=at).order_by("scheduled_for").first()
    if later is not None and _stands_for_several(later):
        return _of_row(later, at)
    return _without_row(task, control, at)


def _stands_for_several(run: JobRun) -> bool:
    number = run.counts.get("slots_missed", run.counts.get("slots_skipped", 1))
    return run.status in (Status.MISSED, Status.SKIPPED) and isinstance(number, int) and number > 1


def _of_row(row: JobRun, at: datetime) -> list[Cause]:
    causes = explain_run(row)
    if row.status in (Status.MISSED, Status.SKIPPED):
        return causes
    text = _("The slot of %(slot)s is run #%(id)s: %(status)s.")
    told = {"slot": moment(at), "id": row.pk, "status": row.get_status_display()}
    return [*causes, Cause("run", text % told, about=row)]


def _no_slot(task: PeriodicTask, control: ScheduleControl, at: datetime) -> Cause:
    retimed = last_event(task, "schedule.retimed")
    if retimed is not None and retimed.at > at:
        stored = (retimed.before or {}).get("schedule", "")
        text = _(
            "Its present time has no slot then. At %(time)s %(name)s retimed it; before, it was %(before)s."
        )
        told = {"time": moment(retimed.at), "name": who(retimed), "before": stored}
        return Cause("retimed", text % told, about=task)
    timing = Timing.of(task)
    following = next(timing.fire_times(after=at, anchor=control.effective_from), None)
    if following is None:
        return Cause("no_slot", _("It has no slot then, and none later."), about=task)
    text = _("It has no slot at %(at)s; the next one after it is %(time)s.")
    told = {"at": moment(at), "time": zoned(following.astimezone(timing.zone_info))}
    return Cause("no_slot", text % told, about=task)


def _to_come(task: PeriodicTask, at: datetime) -> list[Cause]:
    modes = Modes()
    reading = read_all([task], modes=modes)[0]
    causes = list(why_not(task, reading, modes))
    planned = [period for period in modes.holds_of(task).all_at(at) if period.kind in PLANNED]
    if planned and not reading.is_broken:
        will_not = _("It will not run at %(slot)s: %(pause)s.") % {"slot": moment(at), "pause": "%(pause)s"}
        held = [explain_period(period, will_not) for period in planned]
        codes = {cause.code for cause in held}
        return [*held, *(cause for cause in causes if cause.code not in codes)]
    ends = reading.held_until is not None and reading.held_until <= at
    if (reading.hold is Hold.NONE or ends) and not reading.is_broken:
        causes.insert(0, Cause("to_come", _("It will run at %(time)s.") % {"time": moment(at)}))
    return causes


def _without_row(task: PeriodicTask, control: ScheduleControl, at: datetime) -> list[Cause]:
    """Return why a slot that has passed has no row: it is not in force, not recorded yet, or the row was deleted."""
    if at <= control.effective_from:
        event = last_event(
            task, "schedule.retimed", "schedule.resumed", "schedule.created", "row.added", "row.changed"
        )
        text = _("The schedule, as it is now, is in force since %(time)s (%(name)s); this slot was before.")
        told = {"time": moment(control.effective_from), "name": who(event)}
        return [Cause("before_edit", text % told, about=task)]
    if control.last_slot_at is not None and control.last_slot_at >= at:
        # Whatever holds the schedule now came later.
        text = _("It was settled, but its run is no longer in the history.")
        return [Cause("history_deleted", text)]
    modes = Modes()
    causes = list(why_not(task, read_all([task], modes=modes)[0], modes))
    if causes:
        return causes
    return [Cause("about_to_tick", _("The scheduler has not ticked it yet; that takes a few seconds."))]
