"""Second factors of people: who needs one, who has one, and whether a code is right. It knows no requests.

Authenticator apps, passkeys and recovery codes are django-allauth's (``allauth.mfa``).
"""

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts import limits
from accounts.ending import end_sign_ins
from audit import access, values
from audit.events import record

Person = AbstractBaseUser | AnonymousUser

# The counter is that of the sign-in page, so that guesses of codes count together wherever they are made.
_APP, _ACTION, _RATE = "allauth.account", "login_failed", "5/5m"
_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
values.register("auth.User", {"factors": lambda kind: dict(Authenticator.Type.choices).get(kind, kind)})
_WITH_CODES = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)


def required_for(user: Person) -> bool:
    """Whether the setting ``SECOND_FACTOR_REQUIRED_FOR`` demands a second factor of this person."""
    if not isinstance(user, User):
        return False
    match settings.SECOND_FACTOR_REQUIRED_FOR:
        case "everybody":
            return True
        case "operators":
            # A superuser has every permission.
            return any(user.has_perm(name) for name in settings.OPERATOR_PERMISSIONS)
        case "superusers":
            return bool(user.is_superuser)
    return False


def has(user: Person) -> bool:
    """Whether the person has set up an authenticator app or a passkey; recovery codes alone do not count."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=_FACTORS).exists())


def must_set_up(user: Person) -> bool:
    """Whether the person must set up a second factor before anything else.

    Not a person without a password: they sign in through a provider, which asks for its own second factor.
    """
    return isinstance(user, User) and required_for(user) and user.has_usable_password() and not has(user)


def is_last_and_required(user: User) -> bool:
    """Whether the person must have a second factor and has only one."""
    return required_for(user) and Authenticator.objects.filter(user=user, type__in=_FACTORS).count() == 1


def reset(user: User, *, by: Person, reason: str) -> int:
    """Remove all second factors of another person, who has lost them, and end their sessions; return how many.

    Raises:
        PermissionDenied: only superusers may, and not their own.
        ValueError: there is no reason.
    """
    if not (isinstance(by, User) and by.is_active and by.is_superuser and by.pk != user.pk):
        raise PermissionDenied
    if not reason.strip():
        raise ValueError("A reset of second factors needs a reason.")
    with transaction.atomic():
        removed = list(Authenticator.objects.filter(user=user).order_by("pk"))
        kinds = [str(factor.type) for factor in removed]
        Authenticator.objects.filter(pk__in=[factor.pk for factor in removed]).delete()
        end_sign_ins(user)
        record(access.FACTORS_RESET, user, by=by, reason=reason.strip(), before={"factors": kinds})
    return len(removed)


def verify(user: User, code: str) -> bool:
    """Whether the code is one of the person's authenticator app or an unused recovery code; a code is valid once.

    Five wrong codes within five minutes, here or on the sign-in page, make every code wrong until the five minutes are
    over. A passkey has no codes.
    """
    key = f"mfa-auth-user-{user.pk}"
    if not code or not limits.allows(_ACTION, key, rate=_RATE, app=_APP):
        return False
    for factor in Authenticator.objects.filter(user_id=user.pk, type__in=_WITH_CODES):
        if factor.wrap().validate_code(code):
            factor.record_usage()
            limits.forget(_ACTION, key, rate=_RATE, app=_APP)
            return True
    return False
