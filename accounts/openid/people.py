"""Whose account a person of the provider signs in to, and which roles they have.

An account belongs to the subject at the provider. The first time, the verified mail address finds it; nobody's
account is taken over by an address that the provider has not verified, and a superuser's never: `manage.py link_openid`
does that, as whoever runs the server.
"""

import logging

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from accounts.ending import end_everything
from accounts.models import ExternalIdentity
from accounts.openid.identity import Identity
from accounts.openid.provider import Refused
from audit import words
from audit.events import record
from database.names import folded

logger = logging.getLogger(__name__)

LINKED, UNLINKED = "person.openid_linked", "person.openid_unlinked"
CREATED, ROLES_SET = "person.openid_created", "person.openid_roles"
words.register(
    {
        LINKED: gettext_noop("linked an account with OpenID"),
        UNLINKED: gettext_noop("unlinked an account from OpenID"),
        CREATED: gettext_noop("created an account at the first sign-in through OpenID"),
        ROLES_SET: gettext_noop("set the roles of an account as OpenID says"),
    }
)
NAMES_TRIED = 50


def person_of(identity: Identity) -> User:
    """Return the account of a person of the provider, with the roles that they have now.

    Raises:
        Refused: ``domain``; ``role``: none of their groups gives a role, those that they had are taken away, and what
            lets them in is ended; ``account``: they have no account here, and get none.
    """
    _check_domain(identity)
    wanted = roles_of(identity)
    # Whoever has no role is told the same, with an account and without; only one that is linked loses what it had.
    if settings.OIDC_ROLES and not wanted and _linked(identity) is None:
        raise Refused("role")
    user = _found(identity, wanted)
    if not settings.OIDC_ROLES:
        return user
    _set_roles(user, wanted)
    if not wanted:
        raise Refused("role")
    return user


def signs_in_through_it(user: User) -> bool:
    """Whether the person can sign in through the provider."""
    return (
        bool(settings.OIDC_ISSUER)
        and ExternalIdentity.objects.filter(user=user, issuer__in=_issuers()).exists()
    )


def is_the_same(identity: Identity, user: User) -> bool:
    """Whether the account is that of the person of the provider."""
    found = ExternalIdentity.objects.filter(issuer=identity.issuer, subject=identity.subject)
    return found.filter(user=user).exists()


def roles_of(identity: Identity) -> set[str]:
    """Return the names of the groups of the console that the groups of the provider give."""
    return {role for group, role in settings.OIDC_ROLES if group == "*" or group in identity.groups}


@transaction.atomic
def link(user: User, *, issuer: str, subject: str) -> None:
    """Let a person of the provider sign in to an account.

    Raises:
        ValueError: the account or the subject is linked already.
    """
    try:
        with transaction.atomic():
            ExternalIdentity.objects.create(user=user, issuer=issuer, subject=subject)
    except IntegrityError:
        raise ValueError("This account, or this subject, is linked already: unlink it first.") from None
    record(LINKED, user, parameters={"issuer": issuer, "subject": subject})


@transaction.atomic
def unlink(user: User) -> int:
    """Let nobody sign in to this account through a provider any more, and end what lets them in; return how many links."""
    number, _models = ExternalIdentity.objects.filter(user=user).delete()
    if number:
        end_everything(user)
        record(UNLINKED, user)
    return number


def _issuers() -> list[str]:
    # As in the discovery document, which may end with a slash that the setting lacks, or the reverse.
    bare = settings.OIDC_ISSUER.rstrip("/")
    return [bare, f"{bare}/"]


def _check_domain(identity: Identity) -> None:
    domains = settings.OIDC_EMAIL_DOMAINS
    if domains and identity.verified_email.rpartition("@")[2].lower() not in domains:
        raise Refused("domain")


def _found(identity: Identity, wanted: set[str]) -> User:
    for is_last in (False, True):
        try:
            with transaction.atomic():
                return _linked(identity) or _by_email(identity) or _new(identity, wanted)
        except IntegrityError:
            # The same person signs in twice at this moment, or somebody took the name: the second look finds that.
            if is_last:
                break
    raise Refused("account")


def _linked(identity: Identity) -> User | None:
    row = ExternalIdentity.objects.filter(issuer=identity.issuer, subject=identity.subject)
    found = row.select_related("user").first()
    return found.user if found is not None else None


def _by_email(identity: Identity) -> User | None:
    """Return the account with the verified address, and link it; None: there is none.

    Raises:
        Refused: ``account``: it must not be taken over, or there are several.
    """
    email = identity.verified_email
    if not email:
        return None
    people = list(User.objects.select_for_update().filter(email__folded=folded(email)).order_by("pk")[:2])
    if not people:
        return None
    person = people[0]
    if (
        len(people) > 1
        or not _is_same_address(person.email, email)
        or not person.is_active
        or not person.is_staff
        or person.is_superuser
        or ExternalIdentity.objects.filter(user=person, issuer=identity.issuer).exists()
    ):
        raise Refused("account")
    link(person, issuer=identity.issuer, subject=identity.subject)
    return person


def _is_same_address(one: str, other: str) -> bool:
    # A database may take characters for equal that are not; outside ASCII only the very same text counts.
    return one == other or (one.isascii() and other.isascii() and one.lower() == other.lower())


def _new(identity: Identity, wanted: set[str]) -> User:
    """Create an account without a password.

    Raises:
        Refused: ``account``: the setting is off, no role, or no verified address.
    """
    # Without a verified address it could be the second account of somebody who has one.
    if not (settings.OIDC_AUTO_CREATE and wanted and identity.verified_email):
        raise Refused("account")
    person = User(
        username=_free_name(identity),
        email=identity.verified_email,
        first_name=identity.first_name,
        last_name=identity.last_name,
        is_staff=True,
    )
    person.set_unusable_password()
    person.save()
    record(CREATED, person)
    link(person, issuer=identity.issuer, subject=identity.subject)
    return person


def _free_name(identity: Identity) -> str:
    name = identity.username
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError:
        name = identity.verified_email
    name = User.normalize_username(name)[:140]
    names = [name, *(f"{name}-{number}" for number in range(2, NAMES_TRIED))]
    # Also not one that differs in case only: people would take it for the other.
    free = next(
        (one for one in names if not User.objects.filter(username__folded=folded(one)).exists()), None
    )
    if free is None:
        raise Refused("account")
    return free


@transaction.atomic
def _set_roles(user: User, wanted: set[str]) -> None:
    """Give and take the groups that the setting names; others, which people have given here, stay."""
    managed = {role for _group, role in settings.OIDC_ROLES}
    before = set(user.groups.filter(name__in=managed).values_list("name", flat=True))
    existing = {group.name: group for group in Group.objects.filter(name__in=wanted)}
    if missing := wanted - existing.keys():
        logger.error("OIDC_ROLES names groups that do not exist: %s.", ", ".join(sorted(missing)))
    after = set(existing)
    if before != after:
        user.groups.remove(*Group.objects.filter(name__in=before - after))
        user.groups.add(*(existing[name] for name in after - before))
        record(ROLES_SET, user, before={"groups": sorted(before)}, after={"groups": sorted(after)})
    if not wanted:
        end_everything(user)
