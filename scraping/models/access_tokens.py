"""Access tokens, encrypted and shared: one sign-in serves all workers and scrapes until the token expires."""

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database import clock
from database.fields import EncryptedTextField, SecretUnreadable

# A token is not used in this last part of its life, so that the last request still arrives in time.
MARGIN_SECONDS: Final = 30.0
# A sign-in takes less, including its retries; after that, another process may sign in.
TURN_SECONDS: Final = 60.0
# The longest wait for the sign-in of another process.
PATIENCE_SECONDS = 20.0


class AccessToken(models.Model):
    """The access token of one OAuth client id, and who is requesting a new one."""

    client_id = models.CharField(_("client id"), max_length=100)
    # A hash of secret and address: a changed secret is tried at once, and the sandbox's token never goes to Reddit.
    fingerprint = models.CharField(max_length=64, blank=True)
    token = EncryptedTextField(_("access token"), blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    turn_until = models.DateTimeField(_("sign-in reserved until"), null=True, blank=True)

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")
        constraints = [models.UniqueConstraint(fields=["client_id"], name="accesstoken_one_per_client")]

    def __str__(self) -> str:
        return self.client_id


def fingerprint_of(*, client_secret: str, url: str) -> str:
    """Return a fingerprint of the credentials and of the Reddit that a token is for."""
    return hashlib.sha256(f"{client_secret}\0{url}".encode()).hexdigest()


def load(client_id: str, fingerprint: str) -> tuple[str, float] | None:
    """Return the stored token and for how many seconds it may be used, or None."""
    row = AccessToken.objects.filter(client_id=client_id, fingerprint=fingerprint).first()
    if row is None or row.expires_at is None:
        return None
    try:
        token = row.token
    except SecretUnreadable:
        return None  # encrypted with a key that is gone: a new token replaces it
    seconds = (row.expires_at - clock.now()).total_seconds()
    return (token, seconds) if token and seconds > 0 else None


def store(client_id: str, fingerprint: str, token: str, *, seconds: float) -> None:
    """Store a token that is valid for ``seconds``, for all workers."""
    margin = min(MARGIN_SECONDS, seconds / 20)
    # Not update_or_create, which reads the old token: its key may be gone.
    _have_row(client_id)
    AccessToken.objects.filter(client_id=client_id).update(
        fingerprint=fingerprint, token=token, expires_at=clock.now() + timedelta(seconds=seconds - margin)
    )


def _have_row(client_id: str) -> None:
    AccessToken.objects.bulk_create([AccessToken(client_id=client_id)], ignore_conflicts=True)


@contextmanager
def turn(client_id: str) -> Iterator[None]:
    """Reserve the sign-in of a client id; after the longest wait, sign in without the reservation."""
    _have_row(client_id)
    rows, began = AccessToken.objects.filter(client_id=client_id), time.monotonic()
    is_ours = False
    while not is_ours and time.monotonic() - began < PATIENCE_SECONDS:
        free = rows.filter(Q(turn_until__isnull=True) | Q(turn_until__lt=Now()))
        is_ours = bool(free.update(turn_until=Now() + timedelta(seconds=TURN_SECONDS)))
        if not is_ours:
            time.sleep(random.uniform(0.05, 0.2))  # noqa: S311  # gives all workers the same chance
    try:
        yield
    finally:
        if is_ours:
            rows.update(turn_until=None)
