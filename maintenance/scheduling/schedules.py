"""The services behind schedules: seed, retime, pause, resume, reset, look ahead.

A schedule is django-celery-beat's PeriodicTask with our ScheduleControl beside it. Every write goes through
``.save()``, because that is what a running beat notices, and leaves an event with before, after and reason.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, count, islice
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Model, QuerySet
from django.utils import translation
from django.utils.translation import gettext_noop
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks

from audit import words
from audit.events import record
from database import clock, zones
from database.ends import refuse_end
from database.messages import gettext as _
from maintenance.models import JobRun, MaintenanceMode, RetentionPolicy, ScheduleControl
from maintenance.registry import TASK_PREFIX, Job, Person, job_of_task, jobs
from maintenance.scheduling import firetimes, slots
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab, InvalidSchedule
from maintenance.scheduling.targets import slug_of
from maintenance.scheduling.timing import Timing, beside

logger = logging.getLogger(__name__)

PERMISSION = "django_celery_beat.change_periodictask"
CREATED, RETIMED, KEPT = "schedule.created", "schedule.retimed", "schedule.kept"
PAUSED, RESUMED, POLICIES = "schedule.paused", "schedule.resumed", "schedule.policies_changed"
words.register(
    {
        CREATED: gettext_noop("created by its default"),
        RETIMED: gettext_noop("retimed"),
        KEPT: gettext_noop("kept although its default changed"),
        PAUSED: gettext_noop("paused, or changed the pause"),
        RESUMED: gettext_noop("resumed"),
        POLICIES: gettext_noop("changed what happens to missed and overlapping slots"),
    }
)
# The rows beside a schedule: with them in one query, one that is gone is None.
KINDS = ("crontab", "interval", "clocked", "solar")
RELATED = (*KINDS, "control")
# A job with more schedules than these is asked which comes next in another way.
NEXT_AMONG_MAX = 100
NEXT_OF_ALL = 1_000
# Schedules resumed in one sweep: the lease must outlive it.
RESUMED_MAX = 100


# --- Seeding ---------------------------------------------------------------------------------


def seed() -> list[str]:
    """Create what is missing, a schedule and a retention for each job that declares one; change nothing else.

    Returns the slugs of the jobs whose schedule was created.
    """
    created = []
    with transaction.atomic():
        for job in jobs():
            if job.retention_days is not None:
                RetentionPolicy.objects.get_or_create(job=job.slug, defaults={"days": job.retention_days})
            if job.crontab is not None and for_job(job.slug) is None:
                _seed_schedule(job, job.crontab)
                created.append(job.slug)
    return created


def _seed_schedule(job: Job, default: str) -> PeriodicTask:
    # An operator may have given the schedule of this name another job.
    title = job.english_title
    names = chain([title, f"{title} ({job.slug})"], (f"{title} ({number})" for number in count(2)))
    name = next(name for name in names if not PeriodicTask.objects.filter(name=name).exists())
    task = PeriodicTask.objects.create(
        name=name,
        task=job.task_name,
        crontab=_crontab_row(Crontab.parse(default), settings.TIME_ZONE),
        description=job.english_summary,
    )
    control = control_of(task)
    control.default_crontab = default
    control.save(update_fields=["default_crontab"])
    return task


def _crontab_row(crontab: Crontab, zone: str) -> CrontabSchedule:
    # Rows are shared between schedules and may exist twice: never edit one, take the first that fits.
    fields = {
        "minute": crontab.minute,
        "hour": crontab.hour,
        "day_of_month": crontab.day_of_month,
        "month_of_year": crontab.month_of_year,
        "day_of_week": crontab.day_of_week,
        "timezone": zone,
    }
    return CrontabSchedule.objects.filter(**fields).order_by("pk").first() or CrontabSchedule.objects.create(
        **fields
    )


def create_default(job: Job, *, by: Person | None) -> PeriodicTask | None:
    """Create the default schedule of a job that has none, as seeding would; None where somebody was quicker.

    Raises:
        PermissionDenied; ValueError when the job has no default.
    """
    _permit(by)
    if job.crontab is None:
        raise ValueError(_("%(name)s has no default schedule.") % {"name": job.title})
    try:
        with transaction.atomic():
            if for_job(job.slug) is None:
                task = _seed_schedule(job, job.crontab)
                record(CREATED, task, by=by, after=_state(task))
                return task
    except IntegrityError:  # its name
        logger.info("The default schedule of %s was created meanwhile.", job.slug)
    return None


# --- Looking ---------------------------------------------------------------------------------


def is_default(task: PeriodicTask) -> bool:
    """Whether the schedule is the one that its job was given, whose job must therefore stay."""
    job = job_of(task)
    return job is not None and job.crontab is not None and bool(control_or_default(task).default_crontab)


def for_job(slug: str) -> PeriodicTask | None:
    """Return the job's first schedule, or None."""
    return PeriodicTask.objects.filter(task=f"maintenance.{slug}").order_by("pk").first()


def first_of_each(task_names: Sequence[str], number: int) -> dict[str, list[int]]:
    """Return the keys of each task's oldest schedules, ``number`` at most; reads only these, from an index."""
    # A query a task: as one, PostgreSQL reads the whole table for each part.
    return {
        name: list(
            PeriodicTask.objects.filter(task=name).order_by("pk").values_list("pk", flat=True)[:number]
        )
        for name in task_names
    }


def next_of_each(keys: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return which of each task's schedules fires next, as far as that is known; ``keys``: ``first_of_each``'s answer.

    Of a task with too many schedules to compare, those among the next thousand of all are known: so many come soon.
    """
    ahead = ScheduleControl.objects.filter(next_slot_at__isnull=False).order_by("next_slot_at")
    following: dict[str, int] = {}
    few = {pk: name for name, some in keys.items() if len(some) < NEXT_AMONG_MAX for pk in some}
    for pk in ahead.filter(pk__in=few).values_list("pk", flat=True):
        following.setdefault(few[pk], pk)
    many = {name for name, some in keys.items() if len(some) >= NEXT_AMONG_MAX}
    if many:
        for pk, name in ahead.values_list("pk", "schedule__task")[:NEXT_OF_ALL]:
            if name in many:
                following.setdefault(name, pk)
    return following


def coming(now: datetime) -> QuerySet[PeriodicTask]:
    """Return the schedules that fire from now on, the next first."""
    ahead: QuerySet[PeriodicTask] = PeriodicTask.objects.filter(control__next_slot_at__gt=now)
    return ahead.order_by("control__next_slot_at").select_related(*RELATED)


def job_of(task: PeriodicTask) -> Job | None:
    """Return the job a schedule starts; None for somebody else's task."""
    return job_of_task(task.task)


def control_of(task: PeriodicTask) -> ScheduleControl:
    """Return our half of the schedule, made if it is missing."""
    try:
        control: ScheduleControl = task.control
    except ScheduleControl.DoesNotExist:
        control = ScheduleControl.objects.get_or_create(schedule=task)[0]
    return control


def control_or_default(task: PeriodicTask) -> ScheduleControl:
    """Return our half of the schedule; what it would be where it is missing. For looking: writes nothing."""
    try:
        control: ScheduleControl = task.control
    except ScheduleControl.DoesNotExist:
        control = ScheduleControl(schedule=task)
    return control


def crontab_of(task: PeriodicTask) -> Crontab | None:
    """Return the schedule's crontab; None when it is of another kind."""
    return Timing.of(task).crontab


def zone_of(task: PeriodicTask) -> ZoneInfo:
    """Return the zone in whose wall-clock time the schedule fires.

    Raises:
        ZoneInfoNotFoundError: this host does not know it; ``scheduling.reading`` says so instead.
    """
    return Timing.of(task).zone_info


def stored_time(task: PeriodicTask) -> str:
    """Return the schedule's time as it is stored, with its zone; never raises."""
    timing = Timing.of(task)
    kind = timing.crontab or _other_kind(task) or _("no time")
    return f"{kind} {timing.zone or settings.TIME_ZONE}"


def _other_kind(task: PeriodicTask) -> Model | None:
    return next((row for row in (beside(task, name) for name in KINDS) if row), None)


def fire_times(task: PeriodicTask, *, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """Yield the schedule's slots after ``after`` (exclusive) up to ``until`` (inclusive), in UTC.

    Whether the schedule is enabled does not matter.
    """
    return Timing.of(task).fire_times(after=after, until=until, anchor=control_of(task).effective_from)


def upcoming(task: PeriodicTask, number: int, *, now: datetime | None = None) -> list[datetime]:
    """Return the next fire times as beat will see them; empty while the schedule is paused or over."""
    if not task.enabled:
        return []
    return list(islice(fire_times(task, after=now or clock.now()), number))


def next_fire(task: PeriodicTask, *, now: datetime | None = None) -> datetime | None:
    """Return the next fire time; None while the schedule is paused, over, or can never fire."""
    return next(iter(upcoming(task, 1, now=now)), None)


def title(task: PeriodicTask) -> str:
    """Return the schedule's name; while nobody has renamed it, the job's title in the reader's language."""
    job = job_of(task)
    return job.title if job and task.name == job.english_title else str(task.name)


def describe(task: PeriodicTask, language: str) -> str:
    """Return the schedule as a sentence in the language ("en", "zh-hans")."""
    crontab = crontab_of(task)
    return firetimes.describe(crontab, language) if crontab else str(_other_kind(task) or _("no time"))


@dataclass(frozen=True)
class Deviation:
    """How a schedule differs from its job's default."""

    default: Crontab  # as the running code declares it
    # What the default was when somebody last decided about it; None: it has not changed since.
    former: Crontab | None
    # Whether an operator gave the schedule its timing; False: it still runs by the former default.
    is_override: bool

    @property
    def is_drift(self) -> bool:
        """Whether a deploy changed the default, and nobody has decided yet whether to follow."""
        return self.former is not None


def deviation(task: PeriodicTask) -> Deviation | None:
    """Return how the schedule differs from its default: an operator's override, or a deploy's drift."""
    job = job_of(task)
    if job is None or job.crontab is None:
        return None
    default, timing = Crontab.parse(job.crontab), Timing.of(task)
    in_our_zone = timing.zone == settings.TIME_ZONE
    if timing.crontab == default and in_our_zone:
        return None  # it is what the default asks for, however it came to be
    former = _former_default(task, job.crontab)
    return Deviation(default=default, former=former, is_override=timing.crontab != former or not in_our_zone)


def _former_default(task: PeriodicTask, default: str) -> Crontab | None:
    known = control_or_default(task).default_crontab
    if not known or known == default:
        return None
    try:
        return Crontab.parse(known)
    except InvalidCrontab:  # nothing that we wrote
        return None


def drift_report() -> list[str]:
    """Return a line for each schedule whose default a deploy has changed and nobody has decided about."""
    tasks = PeriodicTask.objects.filter(task__startswith=TASK_PREFIX)
    report = []
    for task in tasks.select_related(*RELATED).order_by("pk"):
        differs = deviation(task)
        if differs is not None and differs.is_drift:
            report.append(
                f"{task.name}: the default changed from {differs.former} to {differs.default};"
                f" it stays at {stored_time(task)} until somebody resets or keeps it."
            )
    return report


# --- Noticing edits --------------------------------------------------------------------------


def note_timing(task: PeriodicTask, *, at: datetime | None = None) -> ScheduleControl:
    """Start the schedule anew from this moment (or ``at``) if its timing was edited, so that no past slot fires.

    The time before is accounted for: slots that passed in a pause, or that nobody had ticked yet, are written
    down. Stock beat fires a daily 03:00 schedule at once when it is moved to 09:00 at 10:00.
    """
    control = control_of(task)
    timing = Timing.of(task)
    if control.timing == str(timing):
        return control
    before = Timing.parse(control.timing)
    if before == timing:  # another version wrote the same in its own way
        control.timing = str(timing)
        control.save(update_fields=["timing"])
    else:
        now = at or clock.database_now()  # by which beat ticks
        with transaction.atomic():
            if before is not None:
                _close_books(task, control, before, now)
            if not _stays_owed(task, control, before, timing):
                # An earlier moment than that of a later edit would bring back slots that passed before that edit.
                since = now if at is None else max(now, control.effective_from)
                _start_anew(task, control, before, timing, since)
            control.timing = str(timing)
            plan_next(control, timing)
            control.save(update_fields=["timing", "effective_from", "last_slot_at", "next_slot_at"])
    return control


def audit(task: PeriodicTask, *, now: datetime) -> None:
    """Find what left no sign: an edit by ``QuerySet.update()``, a clock set back, changed rules of a time zone."""
    control = note_timing(task)
    if slots.is_ahead_of_time(control, now=now):
        logger.warning("%s was settled until %s: the clock was set back.", task, control.settled_until)
        _count_from(control, now)
    planned = control.next_slot_at
    plan_next(control, Timing.of(task))
    if control.next_slot_at != planned:
        # Only if no tick has moved it meanwhile.
        ScheduleControl.objects.filter(pk=control.pk, next_slot_at=planned).update(
            next_slot_at=control.next_slot_at
        )


def _count_from(control: ScheduleControl, now: datetime) -> None:
    control.last_slot_at, control.effective_from = None, now
    control.save(update_fields=["last_slot_at", "effective_from"])


def _close_books(task: PeriodicTask, control: ScheduleControl, before: Timing, now: datetime) -> None:
    standstill = MaintenanceMode.objects.filter(pk=MaintenanceMode.ROW).first()
    try:
        rows = slots.close_books(task, control, slug_of(task), before=before, now=now, standstill=standstill)
    except InvalidSchedule as error:  # it had no slots
        logger.warning("%s could not fire until now: %s", task.name, error)
        return
    except Exception:  # a schedule that cannot be computed had no slots, and must stay repairable
        logger.exception("%s: its slots until now cannot be told.", task.name)
        return
    if rows:
        JobRun.objects.bulk_create(slots.without_those_that_have_a_row(rows))


def _start_anew(
    task: PeriodicTask, control: ScheduleControl, before: Timing | None, after: Timing, now: datetime
) -> None:
    try:
        rows = slots.start_anew(task, control, slug_of(task), before=before, after=after, now=now)
    except InvalidSchedule:  # plan_next says so
        control.effective_from = now
        return
    if rows:
        JobRun.objects.bulk_create(slots.without_those_that_have_a_row(rows))


def _stays_owed(task: PeriodicTask, control: ScheduleControl, before: Timing | None, after: Timing) -> bool:
    """Whether what is owed so far stays owed."""
    if before is None:
        return bool(control.timing)  # written by another version: nobody edited it
    # The end of a pause whose latest slots the schedule's policy makes up.
    return (
        control.catch_up_after_pause
        and not before.enabled
        and not slots.is_done(task, control, before)
        and replace(before, enabled=True) == after
    )


def plan_next(control: ScheduleControl, timing: Timing) -> None:
    """Set the next slot; a schedule that cannot be computed has none, and stops no other."""
    try:
        control.next_slot_at = slots.next_slot(timing, control)
    except InvalidSchedule as error:
        logger.warning("%s cannot fire: %s", control, error)
        control.next_slot_at = None
    except Exception:
        logger.exception("%s cannot fire: its schedule is invalid.", control)
        control.next_slot_at = None


# --- Changing --------------------------------------------------------------------------------


def retime(
    task: PeriodicTask, *, by: Person | None, crontab: Crontab, timezone_name: str, reason: str = ""
) -> None:
    """Give the schedule another crontab. It counts from now: a slot that has passed today is not made up.

    Raises:
        PermissionDenied; InvalidCrontab naming the field, or "timezone".
    """
    _permit(by)
    crontab.validate()
    if not zones.is_offered(timezone_name):
        raise InvalidCrontab("timezone", _("%(name)s is no time zone.") % {"name": repr(timezone_name)})
    with transaction.atomic():
        _lock(task)
        before = _state(task)
        task.crontab = _crontab_row(crontab, timezone_name)
        task.interval = task.clocked = task.solar = None
        _save(task, "crontab", "interval", "clocked", "solar")
        _log(RETIMED, task, by, before, reason)


def reset(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Put the job's default crontab back.

    Raises:
        PermissionDenied; ValueError when the job has no default.
    """
    job = job_of(task)
    if job is None or job.crontab is None:
        raise ValueError(_("%(name)s has no default schedule.") % {"name": task.name})
    with transaction.atomic():
        retime(
            task,
            by=by,
            crontab=Crontab.parse(job.crontab),
            timezone_name=settings.TIME_ZONE,
            reason=reason or _("Reset to default"),
        )
        _accept_default(task, job.crontab)


def keep(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Keep the schedule as it is although a deploy changed its default: from now on it is an override.

    Raises:
        PermissionDenied; ValueError when the job has no default.
    """
    _permit(by)
    job = job_of(task)
    if job is None or job.crontab is None:
        raise ValueError(_("%(name)s has no default schedule.") % {"name": task.name})
    with transaction.atomic():
        _lock(task)
        _accept_default(task, job.crontab)
        _log(
            KEPT,
            task,
            by,
            _state(task),
            reason or _("Kept; the default is now %(crontab)s") % {"crontab": job.crontab},
        )


def _accept_default(task: PeriodicTask, default: str) -> None:
    control = control_of(task)
    control.default_crontab = default
    control.save(update_fields=["default_crontab"])


def pause(task: PeriodicTask, *, by: Person | None, reason: str, until: datetime | None = None) -> None:
    """Stop the schedule from firing, until ``until`` or until it is resumed; of a paused one, change that.

    Raises:
        PermissionDenied; ValueError when the reason is empty, or ``until`` is past or absurd.
    """
    _permit(by)
    if not reason.strip():
        raise ValueError(_("Say why the schedule is paused."))
    refuse_end(until)
    with transaction.atomic():
        _lock(task)
        before = _state(task)
        was_enabled, task.enabled = task.enabled, False
        _save(task, "enabled")
        control = control_of(task)
        if was_enabled or control.paused_at is None:
            control.paused_at = clock.now()
        control.paused_until = until
        control.paused_by_id = by.pk if by else None
        control.pause_reason = reason.strip()[:500]
        control.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
        _log(PAUSED, task, by, before, reason)


def resume(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Let the schedule fire again from its next slot on; does nothing to one that is not paused.

    The slots that passed meanwhile become one SKIPPED row, unless the schedule makes up for pauses.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    _resume(task, by=by, reason=reason)


def _resume(task: PeriodicTask, *, by: Person | None, reason: str, at: datetime | None = None) -> None:
    """Resume under the lock; ``at`` is when the pause ended, if not now."""
    with transaction.atomic():
        _lock(task)
        control = control_of(task)
        if at is not None and control.paused_until != at:
            return  # somebody has changed the pause meanwhile
        if task.enabled and control.paused_at is None:
            return
        before = _state(task)
        task.enabled = True
        # A slot at the very end of a pause is not part of it.
        note_timing(task, at=at and at - timedelta(microseconds=1))
        _save(task, "enabled")
        control = ScheduleControl.objects.get(pk=task.pk)
        control.paused_at = control.paused_until = control.paused_by = None
        control.pause_reason = ""
        control.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
        _log(RESUMED, task, by, before, reason)


def resume_ended_pauses(now: datetime) -> int:
    """Resume schedules whose pause has ended, as of its end, whenever that is noticed; return how many."""
    ended = ScheduleControl.objects.filter(paused_until__lte=now).select_related("schedule")
    resumed = 0
    for control in ended.order_by("paused_until")[:RESUMED_MAX]:
        try:
            _resume(
                control.schedule,
                by=None,
                reason=_("The pause ended."),
                at=control.paused_until,
            )
            resumed += 1
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("%s could not be resumed.", control)
    return resumed


def set_policies(task: PeriodicTask, policies: Mapping[str, Any], *, by: Person | None) -> None:
    """Say what happens to missed and overlapping slots, by the names of the control's fields.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    with transaction.atomic():
        control = control_of(task)
        before = {name: getattr(control, name) for name in policies}
        for name, value in policies.items():
            setattr(control, name, value)
        control.save(update_fields=list(policies))
        changed = [name for name in policies if before[name] != policies[name]]
        if changed:
            record(
                POLICIES,
                task,
                by=by,
                before={name: before[name] for name in changed},
                after={name: policies[name] for name in changed},
            )


def save_edit(task: PeriodicTask) -> None:
    """Save what a schedule says besides its time; that, and what beat keeps there, stays."""
    _save(task, "name", "task", "description", "kwargs")


def _lock(task: PeriodicTask) -> None:
    """Lock the schedule as a tick does, and take over how it is now: the caller's copy may be old."""
    if task.pk is not None:
        PeriodicTask.objects.select_for_update().get(pk=task.pk)
        # With the rows beside it: one that another tool has deleted is None then, and raises nothing later.
        task.refresh_from_db(from_queryset=PeriodicTask.objects.select_related(*RELATED))


def _save(task: PeriodicTask, *names: str) -> None:
    if task.pk is None:
        task.save()
        return
    # A running beat counts runs in the same row; and django-celery-beat forgets the last run of a
    # disabled task, though it is still a fact.
    last_run_at = task.last_run_at
    # Not its own save(): that refuses to store anything of a schedule that has no time, or a clocked one that is
    # no one-off. Such a one must stay repairable, and can be paused.
    Model.save(task, update_fields={*names, "date_changed"})
    PeriodicTasks.changed(task)
    task.last_run_at = last_run_at


def _permit(by: Person | None) -> None:
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change schedules."))


def _state(task: PeriodicTask) -> dict[str, str | bool]:
    with translation.override("en"):  # of an interval it is a text of django-celery-beat's
        stored = stored_time(task)
    state = {"schedule": stored, "enabled": task.enabled}
    if not task.enabled:
        control = control_of(task)
        until = control.paused_until
        state |= {"pause": control.pause_reason, "until": until.isoformat() if until else ""}
    return state


def _log(
    verb: str, task: PeriodicTask, by: Person | None, before: dict[str, str | bool], reason: str
) -> None:
    record(verb, task, by=by, before=before, after=_state(task), reason=reason)
