"""The services behind schedules: seed, retime, pause, resume, reset, look ahead.

A schedule is django-celery-beat's PeriodicTask with our ScheduleControl beside it. Every write goes through
``.save()``, because that is what a running beat notices, and leaves a LogEntry with before, after and reason.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from maintenance import firetimes
from maintenance.firetimes import Crontab, InvalidCrontab
from maintenance.models import RetentionPolicy, ScheduleControl
from maintenance.registry import Job, Person, job_of_task, jobs

PERMISSION = "django_celery_beat.change_periodictask"


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


def _seed_schedule(job: Job, default: str) -> None:
    name = job.english_title
    if PeriodicTask.objects.filter(name=name).exists():  # an operator gave that schedule another job
        name = f"{name} ({job.slug})"
    task = PeriodicTask.objects.create(
        name=name,
        task=job.task_name,
        crontab=_crontab_row(Crontab.parse(default), settings.TIME_ZONE),
        description=job.english_summary,
    )
    control = control_of(task)
    control.default_crontab = default
    control.save(update_fields=["default_crontab"])


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


# --- Looking ---------------------------------------------------------------------------------


def for_job(slug: str) -> PeriodicTask | None:
    """Return the job's first schedule, or None."""
    return PeriodicTask.objects.filter(task=f"maintenance.{slug}").order_by("pk").first()


def job_of(task: PeriodicTask) -> Job | None:
    """Return the job a schedule starts; None for somebody else's task."""
    return job_of_task(task.task)


def control_of(task: PeriodicTask) -> ScheduleControl:
    """Return our half of the schedule, made if it is missing."""
    try:
        control: ScheduleControl = task.control
        return control
    except ScheduleControl.DoesNotExist:
        return ScheduleControl.objects.get_or_create(schedule=task, defaults={"timing": timing(task)})[0]


def crontab_of(task: PeriodicTask) -> Crontab | None:
    """Return the schedule's crontab; None when it is of another kind."""
    row = task.crontab
    if row is None:
        return None
    return Crontab(
        minute=row.minute,
        hour=row.hour,
        day_of_month=row.day_of_month,
        month_of_year=row.month_of_year,
        day_of_week=row.day_of_week,
    )


def zone_of(task: PeriodicTask) -> ZoneInfo:
    """Return the zone in whose wall-clock time the schedule fires."""
    return ZoneInfo(str(task.crontab.timezone)) if task.crontab else ZoneInfo(settings.TIME_ZONE)


def timing(task: PeriodicTask) -> str:
    """Return all that decides the fire times as text, to notice an edit however it was made."""
    interval = f"{task.interval.every} {task.interval.period}" if task.interval else None
    parts = {
        "crontab": f"{crontab_of(task)} {task.crontab.timezone}" if task.crontab else None,
        "interval": interval,
        "clocked": task.clocked.clocked_time.isoformat() if task.clocked else None,
        "solar": str(task.solar) if task.solar else None,
        "start": task.start_time.isoformat() if task.start_time else None,
        "expires": task.expires.isoformat() if task.expires else None,
        "enabled": task.enabled,
    }
    return json.dumps({name: value for name, value in parts.items() if value is not None})


def note_timing(task: PeriodicTask) -> ScheduleControl:
    """Start the schedule anew from this moment if its timing was edited, so that no past slot is owed.

    Stock beat fires a daily 03:00 schedule at once when it is moved to 09:00 at 10:00.
    """
    control = control_of(task)
    now_timing = timing(task)
    if control.timing != now_timing:
        control.timing, control.effective_from = now_timing, timezone.now()
        control.save(update_fields=["timing", "effective_from"])
    return control


def fire_times(task: PeriodicTask, *, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """Yield the schedule's slots after ``after`` (exclusive) up to ``until`` (inclusive), in UTC.

    This is the only answer to "when does it run?": beat, previews and misfires all ask here. Whether the
    schedule is enabled does not matter.
    """
    zone = zone_of(task)
    if task.start_time:
        after = max(after, task.start_time - timedelta(microseconds=1))
    if task.expires:
        until = min(until or task.expires, task.expires)
    if task.crontab:
        crontab = crontab_of(task)
        assert crontab is not None
        yield from firetimes.fire_times(crontab, after=after, until=until, timezone=zone)
    elif task.interval:
        every = timedelta(**{task.interval.period: task.interval.every})
        anchor = task.start_time or control_of(task).effective_from
        yield from firetimes.fire_times(
            firetimes.Interval(every=every, anchor=anchor), after=after, until=until, timezone=zone
        )
    elif task.clocked:
        once = firetimes.Once(at=task.clocked.clocked_time)
        yield from firetimes.fire_times(once, after=after, until=until, timezone=zone)
    elif task.solar:
        yield from _solar_times(task, after=after, until=until)


def _solar_times(task: PeriodicTask, *, after: datetime, until: datetime | None) -> Iterator[datetime]:
    # Celery owns the astronomy: ask it for one event after another.
    schedule = task.solar.schedule
    while True:
        schedule.nowfun = lambda moment=after: moment
        after = after + schedule.remaining_estimate(after)
        after = after.astimezone(UTC)
        if until is not None and after > until:
            return
        yield after


def upcoming(task: PeriodicTask, number: int, *, now: datetime | None = None) -> list[datetime]:
    """Return the next fire times as beat will see them; empty while the schedule is paused or over."""
    if not task.enabled:
        return []
    return list(islice(fire_times(task, after=now or timezone.now()), number))


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
    return firetimes.describe(crontab, language) if crontab else str(task.scheduler)


def drift(task: PeriodicTask) -> Crontab | None:
    """Return the job's default crontab where the schedule differs from it; None where it does not."""
    job = job_of(task)
    if job is None or job.crontab is None:
        return None
    default = Crontab.parse(job.crontab)
    same = crontab_of(task) == default and str(zone_of(task)) == settings.TIME_ZONE
    return None if same else default


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
    if timezone_name not in available_timezones():
        raise InvalidCrontab("timezone", _("%(name)s is no time zone.") % {"name": repr(timezone_name)})
    before = _state(task)
    with transaction.atomic():
        task.crontab = _crontab_row(crontab, timezone_name)
        task.interval = task.clocked = task.solar = None
        _save(task, "crontab", "interval", "clocked", "solar")
        _log(task, by, before, reason)


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
        control = control_of(task)
        control.default_crontab = job.crontab
        control.save(update_fields=["default_crontab"])


def pause(task: PeriodicTask, *, by: Person | None, reason: str, until: datetime | None = None) -> None:
    """Stop the schedule from firing, until ``until`` or until it is resumed.

    Raises:
        PermissionDenied; ValueError when the reason is empty or ``until`` is past.
    """
    _permit(by)
    if not reason.strip():
        raise ValueError(_("Say why the schedule is paused."))
    if until is not None and until <= timezone.now():
        raise ValueError(_("The end of the pause is in the past."))
    before = _state(task)
    with transaction.atomic():
        task.enabled = False
        _save(task, "enabled")
        control = control_of(task)
        control.paused_at, control.paused_until = timezone.now(), until
        control.paused_by_id = by.pk if by else None
        control.pause_reason = reason.strip()[:500]
        control.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
        _log(task, by, before, reason)


def resume(task: PeriodicTask, *, by: Person | None, reason: str = "") -> None:
    """Let the schedule fire again from its next slot on; slots that passed meanwhile are not owed.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    before = _state(task)
    with transaction.atomic():
        task.enabled = True
        _save(task, "enabled")
        control = control_of(task)
        control.paused_at = control.paused_until = control.paused_by = None
        control.pause_reason = ""
        control.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
        _log(task, by, before, reason)


def resume_ended_pauses(now: datetime) -> int:
    """Resume the schedules whose pause has ended; return how many."""
    ended = ScheduleControl.objects.filter(paused_until__lte=now).select_related("schedule")
    for control in ended:
        resume(control.schedule, by=None)
    return len(ended)


def save_edit(task: PeriodicTask) -> None:
    """Save what an operator may edit of a schedule; what beat keeps there stays."""
    kept = {"id", "last_run_at", "total_run_count"}
    _save(task, *(field.name for field in task._meta.concrete_fields if field.name not in kept))


def _save(task: PeriodicTask, *names: str) -> None:
    if task.pk is None:
        task.save()
        return
    # A running beat counts runs in the same row; and django-celery-beat forgets the last run of a
    # disabled task, though it is still a fact.
    last_run_at = task.last_run_at
    task.save(update_fields={*names, "date_changed"})
    task.last_run_at = last_run_at


def _permit(by: Person | None) -> None:
    if by is not None and not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change schedules."))


def _state(task: PeriodicTask) -> dict[str, str | bool]:
    return {
        "schedule": f"{crontab_of(task) or task.scheduler} {zone_of(task)}",
        "enabled": task.enabled,
    }


def _log(task: PeriodicTask, by: Person | None, before: dict[str, str | bool], reason: str) -> None:
    if by is None or by.pk is None:
        return
    change = {"before": before, "after": _state(task), "reason": reason}
    LogEntry.objects.log_actions(
        by.pk, [task], CHANGE, change_message=json.dumps(change, ensure_ascii=False), single_object=True
    )
