"""The first superuser, and their password."""

from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.utils import timezone

from console.local.administrator import administrator, first_password
from console.local.errors import StartFailed


@pytest.mark.django_db
def test_without_a_superuser_admin_is_made_and_gets_its_password_at_the_end():
    User.objects.create_user("someone", password="staff only", is_staff=True)

    owner = administrator()
    assert (owner.username, owner.is_superuser, owner.has_usable_password()) == ("admin", True, False)
    password = first_password(administrator())

    assert len(password) == 20
    assert authenticate(username="admin", password=password) == owner


@pytest.mark.django_db
def test_a_password_is_given_once():
    assert first_password(administrator())
    assert first_password(administrator()) is None


@pytest.mark.django_db
def test_an_existing_superuser_stays_as_it_is():
    own = User.objects.create_superuser("operator", password="its own")

    assert administrator() == own
    assert first_password(own) is None
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_a_superuser_who_signs_in_some_other_way_gets_no_password():
    User.objects.create_superuser("admin", last_login=timezone.now() - timedelta(days=1))

    assert first_password(administrator()) is None


@pytest.mark.django_db
def test_a_plain_user_called_admin_is_not_promoted():
    User.objects.create_user("admin")

    with pytest.raises(StartFailed, match="createsuperuser"):
        administrator()

    assert not User.objects.get().is_superuser
