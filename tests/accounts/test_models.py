from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import PasswordResetToken, RefreshToken, hash_secret
from tests.kit import factories

pytestmark = pytest.mark.django_db
KINDS = [RefreshToken, PasswordResetToken]
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_hash_of_a_secret_is_stored(kind):
    token, secret = kind.issue(user=factories.user(), lifetime=timedelta(days=1))

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {kind._meta.db_table}")
        row = cursor.fetchone()
    assert secret not in " ".join(map(str, row))
    assert kind.objects.get(secret_hash=hash_secret(secret)) == token
    assert secret not in f"{token} {token!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_lives_as_long_as_it_was_issued_for(kind):
    before = timezone.now()

    token, _ = kind.issue(user=factories.user(), lifetime=timedelta(minutes=5))

    stored = kind.objects.get(pk=token.pk)
    assert stored.expires_at - stored.created_at == timedelta(minutes=5)
    assert before <= stored.created_at <= timezone.now()


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_long_and_never_the_same(kind):
    user = factories.user()

    secrets = {kind.issue(user=user, lifetime=timedelta(days=1))[1] for _ in range(5)}

    assert len(secrets) == 5
    assert all(len(secret) >= 43 for secret in secrets)  # 256 bits in base64


def test_a_hash_is_sha_256():
    assert hash_secret("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_refresh_tokens_that_let_nobody_in():
    now = timezone.now()
    factories.refresh_token(expires_at=now)
    factories.refresh_token(expires_at=now + MICROSECOND)
    factories.refresh_token(rotated_at=now)
    expired = factories.refresh_token(expires_at=now - MICROSECOND)
    revoked = factories.refresh_token(revoked_at=now)

    assert set(RefreshToken.objects.expired_or_revoked(now)) == {expired, revoked}


def test_password_reset_tokens_that_reset_nothing():
    now = timezone.now()
    factories.password_reset_token(expires_at=now)
    factories.password_reset_token(expires_at=now + MICROSECOND)
    expired = factories.password_reset_token(expires_at=now - MICROSECOND)
    used = factories.password_reset_token(used_at=now)

    assert set(PasswordResetToken.objects.expired_or_used(now)) == {expired, used}


@pytest.mark.parametrize("make", [factories.refresh_token, factories.password_reset_token])
def test_tokens_go_with_their_user_and_with_nobody_else(make):
    token, survivor = make(), make()

    token.user.delete()

    assert list(type(token).objects.all()) == [survivor]
