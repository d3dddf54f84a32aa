"""Personal API tokens: named secrets with scopes, made by a person in the console for a program of theirs.

A token allows what its scopes and the rights of its person both allow. It works without the second factor, which was
asked for when the person signed in to make it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hmac import compare_digest

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_noop

from accounts.models import PersonalToken, PersonalTokenQuerySet, Scope, hash_secret
from accounts.rights import Person
from accounts.sessions import may_see
from audit import values, words
from audit.events import current_address, record
from database import clock
from database.locks import locked
from database.messages import gettext as _

MADE, ENDED = "personal_token.made", "personal_token.revoked"
words.register(
    {MADE: gettext_noop("made a personal API token"), ENDED: gettext_noop("revoked a personal API token")}
)
values.register("accounts.PersonalToken", {"scopes": lambda scope: dict(Scope.choices).get(scope, scope)})
DAYS = (7, 30, 90, 365)
LIVE_MAX = 50  # of one person
# A use is written at most once in this time, so that a read does not cost a write each time.
USED_EVERY = timedelta(minutes=1)


def make(user: User, *, name: str, scopes: Iterable[str], days: int, by: Person) -> tuple[PersonalToken, str]:
    """Make a token; return it with its secret, which cannot be read again.

    Args:
        user: whose rights the token has.
        name: unique among the live tokens of the person.
        scopes: at least one of ``Scope``.
        days: of validity, one of ``DAYS``.
        by: the person, who must be ``user``.

    Raises:
        PermissionDenied: somebody else's token.
        ValueError: a value cannot be used; the text says why.
    """
    if not (isinstance(by, User) and by.is_active and by.is_staff and by.pk == user.pk):
        raise PermissionDenied
    wanted = sorted({Scope(one) for one in scopes}, key=Scope.values.index)
    if not (name.strip() and wanted and days in DAYS):
        raise ValueError(_("A token needs a name, a scope and a lifetime."))
    with transaction.atomic():
        locked(user)
        live = list(_live(user).values_list("name", flat=True))
        if name.strip() in live:
            raise ValueError(_("You have a token of this name already: revoke it, or choose another name."))
        if len(live) >= LIVE_MAX:
            raise ValueError(_("You have %(number)s tokens: revoke some first.") % {"number": LIVE_MAX})
        token, secret = PersonalToken.make(
            user=user, lifetime=timedelta(days=days), name=name.strip(), scopes=[str(one) for one in wanted]
        )
        after = {"scopes": token.scopes, "expires_at": token.expires_at.isoformat()}
        record(MADE, token, by=by, after=after)
    return token, secret


def of(user: User, *, by: Person) -> list[PersonalToken]:
    """Return the tokens of an account that are not revoked, newest first.

    Raises:
        PermissionDenied: the person may not see them.
    """
    if not may_see(by, user):
        raise PermissionDenied
    return list(PersonalToken.objects.filter(user=user, revoked_at__isnull=True).order_by("-pk"))


@transaction.atomic
def revoke(token: PersonalToken, *, by: Person) -> None:
    """End a token at once.

    Raises:
        PermissionDenied: the token is of somebody else, and the person is no superuser.
    """
    if not may_see(by, token.user):
        raise PermissionDenied
    ended = PersonalToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=clock.now())
    if ended:
        record(ENDED, token, by=by)


@transaction.atomic
def revoke_all(user: User, *, by: Person) -> int:
    """End all tokens of an account; return how many.

    Raises:
        PermissionDenied: as ``revoke``.
    """
    tokens = of(user, by=by)
    for token in tokens:
        revoke(token, by=by)
    return len(tokens)


def live_count(user: User) -> int:
    """Return how many tokens of the person are valid."""
    return _live(user).count()


def token_of(secret: str) -> PersonalToken | None:
    """Return the valid token of this secret, with its person; None: there is none, or they may not use the console."""
    found = PersonalToken.objects.live(clock.now()).filter(
        secret_hash=hash_secret(secret), user__is_active=True, user__is_staff=True
    )
    token = found.select_related("user").first()
    return token if token is not None and compare_digest(token.secret_hash, hash_secret(secret)) else None


def note_use(token: PersonalToken) -> None:
    """Write when and from which client address the token was used, at most once a minute."""
    now = clock.now()
    if token.used_at is not None and now - token.used_at < USED_EVERY:
        return
    unused = Q(used_at__isnull=True) | Q(used_at__lte=now - USED_EVERY)
    PersonalToken.objects.filter(unused, pk=token.pk).update(used_at=now, used_from=current_address())


def _live(user: User) -> PersonalTokenQuerySet:
    return PersonalToken.objects.live(clock.now()).filter(user=user)


def end_of(user: User, now: datetime) -> int:
    """End the tokens of a person whose whole access ends, without events of their own; return how many."""
    return PersonalToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=now)
