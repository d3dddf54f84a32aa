"""Secrets for signing in: refresh tokens and password-reset tokens.

Only the SHA-256 of a secret is stored, so a stolen database gives no access.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database import clock


def hash_secret(secret: str) -> str:
    """Return the hex SHA-256 of a token's secret (64 characters)."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Token(models.Model):
    """The fields of both kinds of token: owner, hash, lifetime."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    secret_hash = models.CharField(_("SHA-256 of the secret"), max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        abstract = True

    @classmethod
    def issue(cls, *, user: models.Model, lifetime: timedelta) -> tuple[Self, str]:
        """Store a new token; return it with its secret, which cannot be read again."""
        secret = secrets.token_urlsafe(32)
        now = clock.now()
        token = cls._default_manager.create(
            user=user, secret_hash=hash_secret(secret), created_at=now, expires_at=now + lifetime
        )
        return token, secret


class RefreshTokenQuerySet(models.QuerySet["RefreshToken"]):
    """Selects refresh tokens by state."""

    def expired_or_revoked(self, now: datetime) -> Self:
        """Return the tokens that are no longer valid at ``now``; one that expires exactly then is still valid."""
        return self.filter(Q(expires_at__lt=now) | Q(revoked_at__lte=now))


class RefreshToken(Token):
    """A long-lived secret that an API client exchanges for access tokens.

    live ─► rotated (replaced by its successor; reuse means that it was stolen) ─► expired
      └───► revoked
    """

    rotated_at = models.DateTimeField(_("rotated"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = RefreshTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("refresh token")
        verbose_name_plural = _("refresh tokens")
        constraints = [
            models.UniqueConstraint(fields=["secret_hash"], name="refreshtoken_secret_hash_unique"),
            models.CheckConstraint(
                name="refreshtoken_expires_after_creation", condition=Q(expires_at__gt=models.F("created_at"))
            ),
        ]
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="refreshtoken_expires_at"),
            # cleanup_tokens: OR revoked_at <= now
            models.Index(
                fields=["expires_at"], name="refreshtoken_revoked", condition=Q(revoked_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


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
        constraints = [
            models.UniqueConstraint(fields=["secret_hash"], name="passwordreset_secret_hash_unique"),
            models.CheckConstraint(
                name="passwordreset_expires_after_creation",
                condition=Q(expires_at__gt=models.F("created_at")),
            ),
        ]
        indexes = [
            # cleanup_tokens: WHERE expires_at < now, in key order
            models.Index(fields=["expires_at"], name="passwordreset_expires_at"),
            # cleanup_tokens: OR used_at <= now
            models.Index(
                fields=["expires_at"], name="passwordreset_used", condition=Q(used_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
