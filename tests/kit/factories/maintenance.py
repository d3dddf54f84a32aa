"""Minimal valid runs, schedules and retentions."""

from typing import Any

from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from maintenance.models import HookCall, JobRun, RetentionOverride, RetentionPolicy, RunLogLine, ScheduleHook
from tests.kit.factories.numbers import numbers


def job_run(**fields: Any) -> JobRun:
    """Create a run in the given status, with the times that the status requires."""
    now = timezone.now()
    values = {"job": "cleanup_tokens", "status": "succeeded", "trigger": "command", **fields}
    if values["status"] == "running":
        values = {"worker": "w", "started_at": now, "heartbeat_at": now, **values}
    elif values["status"] not in ("queued", "blocked"):
        values = {"finished_at": now, **values}
    return JobRun.objects.create(**values)


def log_line(**fields: Any) -> RunLogLine:
    values = {"text": "a line", **fields}
    values["run"] = values.get("run") or job_run()
    return RunLogLine.objects.create(**values)


def unsaved_log_line(run: JobRun, text: str) -> RunLogLine:
    return RunLogLine(run=run, text=text)


def schedule(*, crontab: str = "0 0 * * *", timezone_name: str = "UTC", **fields: Any) -> PeriodicTask:
    minute, hour, day_of_month, month_of_year, day_of_week = crontab.split()
    row = CrontabSchedule.objects.create(
        minute=minute,
        hour=hour,
        day_of_month=day_of_month,
        month_of_year=month_of_year,
        day_of_week=day_of_week,
        timezone=timezone_name,
    )
    return PeriodicTask.objects.create(
        **{
            "name": f"schedule{next(numbers)}",
            "task": "maintenance.cleanup_tokens",
            "crontab": row,
            **fields,
        }
    )


def retention_policy(*, job: str, days: int) -> RetentionPolicy:
    return RetentionPolicy.objects.update_or_create(job=job, defaults={"days": days})[0]


def retention_override(**fields: Any) -> RetentionOverride:
    """Create an override of a subreddit, unless the fields name a bot."""
    values = {"days": 30, **fields}
    if "config" not in values:
        values.setdefault("subreddit", f"sub{next(numbers)}")
    if "policy" not in values:
        values["policy"] = RetentionPolicy.objects.get_or_create(
            job="purge_old_content", defaults={"days": 90}
        )[0]
    return RetentionOverride.objects.create(**values)


def schedule_hook(**fields: Any) -> ScheduleHook:
    values = {"secret": "s", **fields}
    values["schedule"] = values.get("schedule") or schedule(task="maintenance.cleanup_tokens")
    return ScheduleHook.objects.create(**values)


def hook_call(**fields: Any) -> HookCall:
    values = {"signature": f"{next(numbers):064x}", **fields}
    values["hook"] = values.get("hook") or schedule_hook()
    return HookCall.objects.create(**values)
