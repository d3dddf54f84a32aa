"""Secrets for signing in: refresh tokens and password-reset tokens; and the browsers that are signed in.

Only the SHA-256 of a secret is stored, so a stolen database gives no access.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete

_Token = TypeVar("_Token", bound="Token")


def hash_secret(secret: str) -> str:
    """Return the hex SHA-256 of a token's secret (64 characters)."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Token(models.Model):
    """The fields of every kind of token: owner, hash, lifetime."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name=_("user"),
    )
    secret_hash = models.CharField(_("SHA-256 of the secret"), max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"#{self.pk}"

    @classmethod
    def issue(cls, *, user: models.Model, lifetime: timedelta) -> tuple[Self, str]:
        """Store a new token; return it with its secret, which cannot be read again."""
        return cls._issue(user=user, lifetime=lifetime)

    @classmethod
    def _issue(
        cls, *, user: models.Model, lifetime: timedelta, prefix: str = "", **fields: Any
    ) -> tuple[Self, str]:
        secret = prefix + secrets.token_urlsafe(32)
        now = clock.now()
        token = cls._default_manager.create(
            user=user, secret_hash=hash_secret(secret), created_at=now, expires_at=now + lifetime, **fields
        )
        return token, secret


class FamilyToken(Token):
    """A token of an API client; all tokens that began with one sign-in are a family."""

    # Null only in rows of an early release.
    family = models.UUIDField(_("sign-in"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        abstract = True

    @classmethod
    def issue_in(cls, family: UUID, *, user: models.Model, lifetime: timedelta) -> tuple[Self, str]:
        """Store a new token of this sign-in; return it with its secret, which cannot be read again."""
        return cls._issue(user=user, lifetime=lifetime, family=family)


def _constraints(name: str) -> list[models.BaseConstraint]:
    """Return what holds for every kind of token; ``name``: the first word of the constraints' names."""
    return [
        models.UniqueConstraint(fields=["secret_hash"], name=f"{name}_secret_hash_unique"),
        models.CheckConstraint(
            name=f"{name}_expires_after_creation", condition=Q(expires_at__gt=models.F("created_at"))
        ),
        # In the database, so that a release that does not know the table yet can delete a person.
        DatabaseOnDelete(name=f"{name}_user_fk", field="user"),
    ]


# What `cleanup_tokens` finds beside expired ones.
_REVOKED, _USED = Q(revoked_at__isnull=False), Q(used_at__isnull=False)


class RevocableQuerySet(models.QuerySet[_Token]):
    """Selects tokens that can be revoked, by state."""

    def live(self, now: datetime) -> Self:
        """Return the tokens that are valid at ``now``."""
        return self.filter(expires_at__gte=now, revoked_at__isnull=True)

    def expired_or_revoked(self, now: datetime) -> Self:
        """Return the tokens that are no longer valid at ``now``; one that expires exactly then is still valid."""
        return self.filter(Q(expires_at__lt=now) | Q(revoked_at__lte=now))


class RefreshTokenQuerySet(RevocableQuerySet["RefreshToken"]):
    """Selects refresh tokens by state."""


class RefreshToken(FamilyToken):
    """A long-lived secret that an API client exchanges for access tokens.

    live ─► rotated (replaced by its successor; reuse means that it was stolen) ─► expired
      └───► revoked
    """

    # Reuse of a rotated one revokes its family.
    rotated_at = models.DateTimeField(_("rotated"), null=True, blank=True)

    objects = RefreshTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("refresh token")
        verbose_name_plural = _("refresh tokens")
        constraints = _constraints("refreshtoken")
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="refreshtoken_expires_at"),
            # cleanup_tokens: OR revoked_at <= now
            models.Index(fields=["expires_at"], name="refreshtoken_revoked", condition=_REVOKED),
            # revocation: WHERE family = …
            models.Index(fields=["family"], name="refreshtoken_family"),
        ]


class ApiTokenQuerySet(RevocableQuerySet["ApiToken"]):
    """Selects access tokens by state."""


class ApiToken(FamilyToken):
    """A short-lived secret with which an API client signs its calls; it ends with its family."""

    family = models.UUIDField(_("sign-in"), editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")
        constraints = _constraints("apitoken")
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="apitoken_expires_at"),
            # cleanup_tokens: OR revoked_at <= now
            models.Index(fields=["expires_at"], name="apitoken_revoked", condition=_REVOKED),
            # revocation: WHERE family = …
            models.Index(fields=["family"], name="apitoken_family"),
        ]


class Scope(models.TextChoices):
    """What a personal token may be used for; the rights of its person are asked for in any case."""

    READ = "read", _("read")
    RUN = "run", _("start runs and scrapes")
    OPERATE = "operate", _("cancel runs, change schedules and bots")
    APPROVE = "approve", _("decide about runs that wait")


class PersonalTokenQuerySet(RevocableQuerySet["PersonalToken"]):
    """Selects personal tokens by state."""


class PersonalToken(Token):
    """A named secret that a person made for a program; it has scopes, and ends with the account."""

    PREFIX = "mct_"

    name = models.CharField(_("name"), max_length=100)
    # Values of ``Scope``.
    scopes = models.JSONField(_("scopes"), default=list)
    used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    used_from = models.GenericIPAddressField(_("last used from"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = PersonalTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("personal token")
        verbose_name_plural = _("personal tokens")
        default_permissions = ()
        constraints = _constraints("personaltoken")
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="personaltoken_expires_at"),
            # cleanup_tokens: OR revoked_at <= now
            models.Index(fields=["expires_at"], name="personaltoken_revoked", condition=_REVOKED),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def make(
        cls, *, user: models.Model, lifetime: timedelta, name: str, scopes: list[str]
    ) -> tuple[Self, str]:
        """Store a new token; return it with its secret, which cannot be read again."""
        return cls._issue(user=user, lifetime=lifetime, prefix=cls.PREFIX, name=name, scopes=scopes)

    @property
    def is_over(self) -> bool:
        """Whether it has expired."""
        return self.expires_at < clock.now()


class IdempotencyKeyQuerySet(models.QuerySet["IdempotencyKey"]):
    """Selects keys by age."""

    def expired(self, now: datetime) -> Self:
        """Return the keys that are no longer kept at ``now``."""
        return self.filter(expires_at__lt=now)


class IdempotencyKey(models.Model):
    """The key that an API client sent with a request, or a page with its form, and the answer to it."""

    LIFETIME = timedelta(hours=24)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # idempotencykey_unique
        related_name="+",
        verbose_name=_("user"),
    )
    key = models.CharField(_("key"), max_length=100)
    fingerprint = models.CharField(_("SHA-256 of the request"), max_length=64)
    # Null only inside the transaction that starts the run.
    run_id = models.BigIntegerField(_("run"), null=True)
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    body = models.TextField(_("answer"), blank=True)
    expires_at = models.DateTimeField(_("expires"))

    objects = IdempotencyKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        default_permissions = ()
        constraints = [
            # Two calls at the same moment: the second waits here for the first.
            models.UniqueConstraint(fields=["user", "key"], name="idempotencykey_unique"),
            DatabaseOnDelete(name="idempotencykey_user_fk", field="user"),
        ]
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="idempotencykey_expires_at"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @classmethod
    def take(cls, *, user: User, key: str, fingerprint: str) -> "IdempotencyKey | None":
        """Return the row of the key, locked; without an answer, if the request is to be performed.

        None: the key belongs to another request.
        """
        now = clock.now()
        values = {"fingerprint": fingerprint, "expires_at": now + cls.LIFETIME}
        row, is_new = cls.objects.get_or_create(user=user, key=key, defaults=values)
        if is_new:
            return row
        stored = cls.objects.select_for_update().filter(pk=row.pk).first()
        if stored is None:  # it had expired, and `cleanup_tokens` has deleted it meanwhile
            return cls.take(user=user, key=key, fingerprint=fingerprint)
        row = stored
        if row.expires_at < now:
            row.run_id, row.status, row.body = None, None, ""
            row.fingerprint, row.expires_at = fingerprint, now + cls.LIFETIME
            row.save()
        return row if row.fingerprint == fingerprint else None

    def answer(self, *, run_id: int, status: int, body: str) -> None:
        """Keep the answer."""
        self.run_id, self.status, self.body = run_id, status, body
        self.save(update_fields=["run_id", "status", "body"])


class PasswordResetTokenQuerySet(models.QuerySet["PasswordResetToken"]):
    """Selects password-reset tokens by state."""

    def expired_or_used(self, now: datetime) -> Self:
        """Return the tokens that are no longer valid at ``now``; one that expires exactly then is still valid."""
        return self.filter(Q(expires_at__lt=now) | Q(used_at__lte=now))


class PasswordResetToken(Token):
    """A secret mailed to a user, valid for one change of password."""

    used_at = models.DateTimeField(_("used"), null=True, blank=True)

    objects = PasswordResetTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("password-reset token")
        verbose_name_plural = _("password-reset tokens")
        constraints = _constraints("passwordreset")
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="passwordreset_expires_at"),
            # cleanup_tokens: OR used_at <= now
            models.Index(fields=["expires_at"], name="passwordreset_used", condition=_USED),
        ]


class LoginSession(models.Model):
    """What is known about a signed-in browser: the person, the device, when it was last used.

    It goes with its row of ``django_session``: the database deletes both together.
    """

    session = models.OneToOneField(
        Session, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("session")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # loginsession_user
        related_name="+",
        verbose_name=_("user"),
    )
    since = models.DateTimeField(_("since"), default=clock.now, editable=False)
    used_at = models.DateTimeField(_("last used"), default=clock.now)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    # The header as it was sent; ``accounts.devices`` puts it into words.
    user_agent = models.CharField(_("device"), max_length=300, blank=True, db_default="")

    class Meta:
        verbose_name = _("login session")
        verbose_name_plural = _("login sessions")
        constraints = [
            DatabaseOnDelete(name="loginsession_session_fk", field="session"),
            DatabaseOnDelete(name="loginsession_user_fk", field="user"),
        ]
        indexes = [
            # the list of a person's sessions, last used first; ``ending.end_everything``
            models.Index(fields=["user", "-used_at"], name="loginsession_user"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class ExternalIdentity(models.Model):
    """Who a person is at an OpenID Connect provider. The subject never changes there; the mail address may."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # externalidentity_one_each
        related_name="+",
        verbose_name=_("user"),
    )
    issuer = models.CharField(_("issuer"), max_length=255)
    subject = models.CharField(_("subject"), max_length=255)
    since = models.DateTimeField(_("since"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("identity at a provider")
        verbose_name_plural = _("identities at providers")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="externalidentity_unique"),
            # A mail address may pass to another person at the provider, who must not get this account too.
            models.UniqueConstraint(fields=["user", "issuer"], name="externalidentity_one_each"),
            DatabaseOnDelete(name="externalidentity_user_fk", field="user"),
        ]

    def __str__(self) -> str:
        return self.subject
