"""Ends what lets a person in: sessions, refresh tokens, unused password-reset tokens."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction

from accounts.models import ApiToken, LoginSession, PasswordResetToken, RefreshToken
from database import clock


@dataclass(frozen=True)
class Ended:
    """How many of each kind were ended."""

    sessions: int = 0
    refresh_tokens: int = 0
    others: dict[str, int] = field(default_factory=dict)


# Other kinds of access, by name: each function ends what the person has at that moment, and returns how many.
# ``end_everything`` calls them inside its transaction.
OTHERS: dict[str, Callable[[User, datetime], int]] = {}


@transaction.atomic
def end_everything(user: User) -> Ended:
    """End all sessions, refresh tokens, personal tokens and unused password-reset tokens of a person.

    For a password that was reset or set by somebody else, and for a deactivation. The caller writes the event that says
    why, in the same transaction. What was begun with one of them, such as a run, goes on.
    """
    ended = end_sign_ins(user)
    now = clock.now()
    return replace(ended, others={name: end(user, now) for name, end in OTHERS.items()})


@transaction.atomic
def end_sign_ins(user: User, *, but_session: str | None = None) -> Ended:
    """End what somebody with the password could have made: for a person who changes their own password.

    Args:
        user: the person.
        but_session: the key of the session that stays.
    """
    now = clock.now()
    sessions = end_sessions(user, but_session=but_session)
    tokens = RefreshToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=now)
    ApiToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=now)
    PasswordResetToken.objects.filter(user=user, used_at__isnull=True).update(used_at=now)
    return Ended(sessions, tokens)


def end_sessions(user: User, *, but_session: str | None = None) -> int:
    """End the sessions of a person, all or all but one; return how many."""
    keys = LoginSession.objects.filter(user=user)
    if but_session is not None:
        keys = keys.exclude(session_id=but_session)
    number, _models = Session.objects.filter(pk__in=list(keys.values_list("session_id", flat=True))).delete()
    return number
