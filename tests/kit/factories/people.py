"""Minimal valid users, sessions and tokens."""

from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import (
    ApiToken,
    IdempotencyKey,
    LoginSession,
    PasswordResetToken,
    PersonalToken,
    RefreshToken,
    hash_secret,
)
from tests.kit.factories.numbers import numbers

Token = TypeVar("Token", ApiToken, RefreshToken, PasswordResetToken, PersonalToken)


def user(*permissions: str, **fields: Any) -> User:
    """Create a staff user with only these permissions ("app.codename")."""
    number = next(numbers)
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
        **{"session_key": f"s{next(numbers)}", "session_data": "", "expire_date": timezone.now(), **fields}
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
        "secret_hash": hash_secret(str(next(numbers))),
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
    return _token(PersonalToken, **{"name": f"token{next(numbers)}", "scopes": ["read"], **fields})


def idempotency_key(**fields: Any) -> IdempotencyKey:
    values = {
        "key": f"key{next(numbers)}",
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
