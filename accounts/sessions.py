"""Which signed-in browsers a person may see and end."""

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts.ending import end_sessions
from accounts.models import LoginSession
from accounts.rights import Person
from audit import access
from audit.events import record
from database import clock


def may_see(by: Person, user: User) -> bool:
    """Whether a person may see and end the sessions of an account: their own, and superusers everybody's."""
    return isinstance(by, User) and by.is_active and (by.pk == user.pk or by.is_superuser)


def of(user: User, *, by: Person) -> list[LoginSession]:
    """Return the sessions of an account that have not expired, last used first.

    Raises:
        PermissionDenied: the person may not see them.
    """
    if not may_see(by, user):
        raise PermissionDenied
    rows = LoginSession.objects.filter(user=user, session__expire_date__gt=clock.now())
    return list(rows.order_by("-used_at", "-pk"))


@transaction.atomic
def end(row: LoginSession, *, by: Person) -> None:
    """Sign a browser out.

    Raises:
        PermissionDenied: the session is of somebody else, and the person is no superuser.
    """
    if not may_see(by, row.user):
        raise PermissionDenied
    Session.objects.filter(pk=row.session_id).delete()
    record(access.SESSIONS_ENDED, row.user, by=by, parameters={"sessions": 1})


@transaction.atomic
def end_all(user: User, *, by: Person, but_session: str | None = None) -> int:
    """Sign out all browsers of an account, or all but one; return how many.

    Args:
        user: the account.
        by: who does it.
        but_session: the key of the session that stays.

    Raises:
        PermissionDenied: the account is not the person's own, and the person is no superuser.
    """
    if not may_see(by, user):
        raise PermissionDenied
    number = end_sessions(user, but_session=but_session)
    record(access.SESSIONS_ENDED, user, by=by, parameters={"sessions": number})
    return number
