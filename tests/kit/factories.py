"""Minimal valid rows of each model; a test sets only the fields that it is about."""

import itertools
from datetime import time, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from accounts.models import (
    ApiToken,
    IdempotencyKey,
    LoginSession,
    PasswordResetToken,
    PersonalToken,
    RefreshToken,
    hash_secret,
)
from alerts.models import Alert, Delivery, Mute, QuietHours, Route
from audit.models import Event
from maintenance.models import HookCall, JobRun, RetentionOverride, RetentionPolicy, RunLogLine, ScheduleHook
from scraping.models import (
    AccessToken,
    BotConfig,
    DueWalk,
    Erasure,
    Freshness,
    PostSighting,
    RedditApp,
    RedditComment,
    RedditPost,
    RequestBudget,
    ScrapeSession,
    Watermark,
)
from scraping.models.set_aside import Doubt, SetAside, SweepTally

Token = TypeVar("Token", ApiToken, RefreshToken, PasswordResetToken, PersonalToken)

_numbers = itertools.count(1)


def database_url() -> str:
    """Return the URL of the test database, for separate processes."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    return f"postgres://{settings['USER']}{password}@{settings['HOST']}:{settings['PORT'] or 5432}/{settings['NAME']}"


# --- People ----------------------------------------------------------------------------------


def user(*permissions: str, **fields: Any) -> User:
    """Create a staff user with only these permissions ("app.codename")."""
    number = next(_numbers)
    made = User.objects.create(**{"username": f"user{number}", "is_staff": True, **fields})
    for permission in permissions:
        app, codename = permission.split(".")
        made.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return made


def superuser(**fields: Any) -> User:
    return user(is_superuser=True, **fields)


def operator(**fields: Any) -> User:
    """Create a user who may run and cancel jobs and change schedules."""
    return user(
        "maintenance.run_job",
        "maintenance.cancel_jobrun",
        "maintenance.approve_run",
        "maintenance.view_jobrun",
        "scraping.view_scrapesession",
        "scraping.view_everybodys_content",
        "django_celery_beat.view_periodictask",
        "django_celery_beat.change_periodictask",
        **fields,
    )


def login_session(**fields: Any) -> Session:
    return Session.objects.create(
        **{"session_key": f"s{next(_numbers)}", "session_data": "", "expire_date": timezone.now(), **fields}
    )


def listed_session(**fields: Any) -> LoginSession:
    """Create the row of a signed-in browser, with its session."""
    values = {"user": None, "session": None, **fields}
    values["user"] = values["user"] or user()
    values["session"] = values["session"] or login_session()
    return LoginSession.objects.create(**values)


def _token(model: type[Token], **fields: Any) -> Token:
    now = timezone.now()
    values = {
        "user": fields.pop("user", None) or user(),
        "secret_hash": hash_secret(str(next(_numbers))),
        "created_at": now - timedelta(days=10),
        "expires_at": now + timedelta(days=1),
        **fields,
    }
    return model.objects.create(**values)


def api_token(**fields: Any) -> ApiToken:
    return _token(ApiToken, **{"family": uuid4(), **fields})


def refresh_token(**fields: Any) -> RefreshToken:
    return _token(RefreshToken, **fields)


def expired_refresh_token(**fields: Any) -> RefreshToken:
    return _token(RefreshToken, **{"expires_at": timezone.now() - timedelta(seconds=1), **fields})


def personal_token(**fields: Any) -> PersonalToken:
    return _token(PersonalToken, **{"name": f"token{next(_numbers)}", "scopes": ["read"], **fields})


def idempotency_key(**fields: Any) -> IdempotencyKey:
    values = {
        "key": f"key{next(_numbers)}",
        "fingerprint": "x",
        "expires_at": timezone.now() + timedelta(days=1),
        **fields,
    }
    values["user"] = values.get("user") or user()
    return IdempotencyKey.objects.create(**values)


def password_reset_token(**fields: Any) -> PasswordResetToken:
    return _token(PasswordResetToken, **fields)


def expired_password_reset_token(**fields: Any) -> PasswordResetToken:
    return _token(PasswordResetToken, **{"expires_at": timezone.now() - timedelta(seconds=1), **fields})


# --- Audit -----------------------------------------------------------------------------------


def event(**fields: Any) -> Event:
    number = next(_numbers)
    return Event.objects.create(
        **{"actor_kind": "system", "verb": "x.done", "subject_type": "x.Y", "subject_id": number, **fields}
    )


# --- Alerts ----------------------------------------------------------------------------------


def alert(**fields: Any) -> Alert:
    number = next(_numbers)
    values = {"rule": "failed", "subject_type": "maintenance.Job", "subject_id": number, "subject_name": "x"}
    return Alert.objects.create(**values | fields)


def route(**fields: Any) -> Route:
    values = {"name": f"route{next(_numbers)}", "to": "addresses", "least_severity": "warning"}
    return Route.objects.create(**values | fields)


def webhook_route(**fields: Any) -> Route:
    values = {"to": "webhook", "url": "https://hooks.example.org/x", "secret": "s" * 32}
    return route(**values | fields)


def delivery(**fields: Any) -> Delivery:
    values = {
        "event": "opened",
        "channel": "mail",
        "recipient": f"{next(_numbers)}@example.org",
        "next_attempt_at": timezone.now(),
    }
    values |= {"alert": fields.get("alert") or alert()}
    return Delivery.objects.create(**values | fields)


def mute(**fields: Any) -> Mute:
    number = next(_numbers)
    values = {"rule": "failed", "subject_type": "maintenance.Job", "subject_id": number, "reason": "x"}
    return Mute.objects.create(**{"until": timezone.now() + timedelta(hours=1), **values, **fields})


def quiet_hours(**fields: Any) -> QuietHours:
    values = {"begins": time(22), "ends": time(7), "zone": "UTC", **fields}
    return QuietHours.objects.create(**values | {"person": fields.get("person") or user()})


# --- Scraping --------------------------------------------------------------------------------


def reddit_app(**fields: Any) -> RedditApp:
    number = next(_numbers)
    return RedditApp.objects.create(
        **{
            "name": f"app{number}",
            "client_id": f"id{number}",
            "user_agent": "tests:app:1 (by /u/tests)",
            **fields,
        }
    )


def bot_config(**fields: Any) -> BotConfig:
    values = {"name": f"bot{next(_numbers)}", "subreddits": ["python"], **fields}
    values["owner"] = values.get("owner") or user()
    return BotConfig.objects.create(**values)


def watermark(**fields: Any) -> Watermark:
    now, name = timezone.now(), f"subreddit{next(_numbers)}"
    values = {"subreddit": name, "name": name, "listing": "new", "newest_at": now, "listed_at": now, **fields}
    values["config"] = values.get("config") or bot_config()
    return Watermark.objects.create(**values)


def freshness(**fields: Any) -> Freshness:
    values = {"subreddit": f"subreddit{next(_numbers)}", **fields}
    return Freshness.objects.create(config=values.pop("config", None) or bot_config(), **values)


def due_walk(**fields: Any) -> DueWalk:
    values = {"subreddit": "python", "fullname": f"t3_{next(_numbers)}", **fields}
    return DueWalk.objects.create(config=values.pop("config", None) or bot_config(), **values)


def access_token(**fields: Any) -> AccessToken:
    return AccessToken.objects.create(**{"client_id": f"id{next(_numbers)}", **fields})


def set_aside(*, doubt: dict[str, Any] | None = None, **fields: Any) -> SetAside:
    values = {
        "cause": "missing",
        "scope": "2",
        "items": 120,
        "checked": 480,
        "gone": 120,
        "usual_share": 0.01,
    }
    made = SetAside.objects.create(**values | fields)
    if doubt is not None:
        doubt_of(set_aside=made, **doubt)
    return made


def doubt_of(**fields: Any) -> Doubt:
    now = timezone.now()
    values = {"fullname": f"t3_{next(_numbers)}", "reason": "missing", "since": now, "ask_after": now}
    return Doubt.objects.create(**values | fields)


def sweep_tally(**fields: Any) -> SweepTally:
    return SweepTally.objects.create(**{"swept_at": timezone.now(), "age": 0, "checked": 10} | fields)


def erasure(**fields: Any) -> Erasure:
    return Erasure.objects.create(
        **{"kind": 3, "number": next(_numbers), "at": timezone.now(), "rule": "retention", "days": 90}
        | fields
    )


def request_budget(**fields: Any) -> RequestBudget:
    values = {
        "client_id": f"id{next(_numbers)}",
        "window_requests": 1000,
        "ends_at": timezone.now(),
        **fields,
    }
    return RequestBudget.objects.create(**values)


def session(**fields: Any) -> ScrapeSession:
    values = {"status": "succeeded", **fields}
    values["config"] = values.get("config") or bot_config()
    values.setdefault("config_name", values["config"].name)
    if values["status"] != "running":
        values.setdefault("finished_at", timezone.now())
    return ScrapeSession.objects.create(**values)


def unsaved_post(**fields: Any) -> RedditPost:
    number = next(_numbers)
    return RedditPost(
        **{
            "fullname": f"t3_{number}",
            "subreddit": "python",
            "title": f"Post {number}",
            "created_at": timezone.now(),
            **fields,
        }
    )


def post(**fields: Any) -> RedditPost:
    made = unsaved_post(**fields)
    made.save()
    return made


def sighting(**fields: Any) -> PostSighting:
    values = {**fields}
    values["post"] = values.get("post") or post()
    values["config"] = values.get("config") or bot_config()
    return PostSighting.objects.create(**values)


def comment(**fields: Any) -> RedditComment:
    number = next(_numbers)
    values = {"fullname": f"t1_{number}", "body": f"Comment {number}", "created_at": timezone.now(), **fields}
    values["post"] = values.get("post") or post()
    values.setdefault("parent_fullname", values["post"].fullname)
    return RedditComment.objects.create(**values)


# --- Maintenance -----------------------------------------------------------------------------


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
            "name": f"schedule{next(_numbers)}",
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
        values.setdefault("subreddit", f"sub{next(_numbers)}")
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
    values = {"signature": f"{next(_numbers):064x}", **fields}
    values["hook"] = values.get("hook") or schedule_hook()
    return HookCall.objects.create(**values)
