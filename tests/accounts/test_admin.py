"""Nobody gives rights that are not theirs to give."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk(client):
    user = factories.user("auth.view_user", "auth.change_user", "auth.delete_user")
    client.force_login(user)
    return user


def change(user):
    return reverse("admin:auth_user_change", args=[user.pk])


def test_a_clerk_cannot_make_anybody_a_superuser(client, clerk):
    other = factories.user(is_staff=False)

    response = client.post(
        change(other),
        {"username": "renamed", "is_active": "on", "is_staff": "on", "is_superuser": "on"},
    )

    assert response.status_code == 302
    other.refresh_from_db()
    assert (other.username, other.is_superuser) == ("renamed", False)


def test_a_superuser_can(client):
    client.force_login(factories.superuser())
    other = factories.user()

    client.post(change(other), {"username": other.username, "is_active": "on", "is_superuser": "on"})

    other.refresh_from_db()
    assert other.is_superuser


def test_a_clerk_cannot_touch_a_superuser(client, clerk):
    boss = factories.superuser(password="unchanged")

    assert client.post(change(boss), {"username": "gone"}).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[boss.pk])
    assert client.get(password).status_code == 403
    assert client.post(reverse("admin:auth_user_delete", args=[boss.pk]), {"post": "yes"}).status_code == 403
    assert User.objects.get(pk=boss.pk).password == "unchanged"
