"""Access and refresh tokens of API clients: issued for a password, rotated, revoked.

Both live in the database as SHA-256 only (ADR 38), so a revoked access token is dead at once. All tokens that began
with one sign-in are a family. A refresh token is valid once: if it comes again, one of two clients has stolen it, and
the family ends.
"""

from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from uuid import UUID, uuid4

from allauth.account.adapter import get_adapter
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from accounts import personal_tokens, second_factor
from accounts.models import ApiToken, PersonalToken, RefreshToken, Token, hash_secret
from accounts.openid import people
from audit import access
from audit.events import record, subject_of
from database import clock

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)


class SignInRefused(Exception):
    """The credentials are not enough; ``code`` says what to do."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Throttled(Exception):
    """Too many failures of this account or address."""


@dataclass(frozen=True)
class Issued:
    """The secrets of a new pair of tokens, which cannot be read again."""

    access: str
    refresh: str


def sign_in(request: HttpRequest, *, username: str, password: str, otp: str = "") -> Issued:
    """Check a name, a password and, where it is needed, a code; issue tokens. The limits are those of the sign-in page.

    Raises:
        SignInRefused: ``invalid-credentials``, also for accounts that may not use the console; or
            ``second-factor-required``.
        Throttled.
    """
    try:
        user = get_adapter(request).authenticate(request, username=username, password=password)
    except ValidationError:
        raise Throttled from None
    if not isinstance(user, User) or not (user.is_active and user.is_staff):
        if user is not None:
            access.sign_in_failed(username)
        raise SignInRefused("invalid-credentials")
    # Who signs in through a provider passes its second factor there, which no password may go round.
    if second_factor.required_for(user) or second_factor.has(user) or people.signs_in_through_it(user):
        if not otp:
            raise SignInRefused("second-factor-required")
        if not second_factor.verify(user, otp):
            access.sign_in_failed(username)
            raise SignInRefused("invalid-credentials")
    with transaction.atomic():
        access.signed_in(user)
        return issue(user)


def refresh(secret: str) -> Issued:
    """Exchange a refresh token for a new pair; it is used up.

    Raises:
        SignInRefused: ``invalid-token``: unknown, expired, revoked, or used before; the latter ends its family.
    """
    with transaction.atomic():
        token = RefreshToken.objects.select_for_update().filter(secret_hash=hash_secret(secret)).first()
        issued = _rotated(token) if token is not None and _is(token, secret) else None
    if issued is None:
        raise SignInRefused("invalid-token")
    return issued


def _rotated(token: RefreshToken) -> Issued | None:
    now, user = clock.now(), token.user
    if token.revoked_at or token.expires_at < now or token.family is None:
        return None
    if token.rotated_at:
        _end(token)
        record(access.TOKEN_REUSED, subject_of(user), by=user)
        return None
    if not (user.is_active and user.is_staff):
        return None
    token.rotated_at = now
    token.save(update_fields=["rotated_at"])
    return _issue(user, token.family)


def issue(user: User) -> Issued:
    """Issue a pair of tokens for a person who has proved who they are."""
    return _issue(user, uuid4())


def _issue(user: User, family: UUID) -> Issued:
    return Issued(
        access=ApiToken.issue_in(family, user=user, lifetime=ACCESS_LIFETIME)[1],
        refresh=RefreshToken.issue_in(family, user=user, lifetime=REFRESH_LIFETIME)[1],
    )


def token_of(secret: str) -> ApiToken | None:
    """Return the valid access token of this secret, with its person; None: there is none, or they are inactive."""
    found = ApiToken.objects.live(clock.now()).filter(secret_hash=hash_secret(secret), user__is_active=True)
    token = found.select_related("user").first()
    return token if token is not None and _is(token, secret) and token.user.is_staff else None


def revoke(secret: str) -> None:
    """End the sign-in of an access or refresh token, or a personal token.

    A secret that is unknown or no longer valid changes nothing.
    """
    personal = personal_tokens.token_of(secret) if secret.startswith(PersonalToken.PREFIX) else None
    if personal is not None:
        personal_tokens.revoke(personal, by=personal.user)
        return
    key = hash_secret(secret)
    with transaction.atomic():
        kinds: tuple[type[RefreshToken] | type[ApiToken], ...] = (RefreshToken, ApiToken)
        for kind in kinds:
            token = kind.objects.filter(secret_hash=key, revoked_at__isnull=True).first()
            if token is not None and _is(token, secret) and token.family is not None:
                _end(token)
                record(access.TOKENS_REVOKED, subject_of(token.user), by=token.user)
                return


def revoke_all(user: User) -> int:
    """End all sign-ins of a person by API; return how many tokens were revoked."""
    now = clock.now()
    with transaction.atomic():
        number = RefreshToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=now)
        number += ApiToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=now)
        record(access.TOKENS_REVOKED, subject_of(user), by=user, parameters={"tokens": number})
    return number


def _end(token: RefreshToken | ApiToken) -> None:
    assert token.family is not None
    now = clock.now()
    RefreshToken.objects.filter(family=token.family, revoked_at__isnull=True).update(revoked_at=now)
    ApiToken.objects.filter(family=token.family, revoked_at__isnull=True).update(revoked_at=now)


def _is(token: Token, secret: str) -> bool:
    # The index has compared the hash already; this comparison takes the same time for every secret.
    return compare_digest(token.secret_hash, hash_secret(secret))
