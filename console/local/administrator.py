"""The first superuser of a new console, and their first password."""

from django.contrib.auth.models import User
from django.utils.crypto import get_random_string

from console.local.errors import StartFailed

ADMIN = "admin"
PASSWORD_LENGTH = 20  # of 62 letters and digits: 119 bits


def administrator() -> User:
    """Return the superuser that signs in first; create `admin`, without a password yet, if there is none.

    Raises:
        StartFailed: `admin` exists and is not a superuser.
    """
    superusers = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    owner = superusers.filter(username=ADMIN).first() or superusers.first()
    if owner is not None:
        return owner
    if User.objects.filter(username=ADMIN).exists():
        raise StartFailed(
            f"No active superuser, and the name {ADMIN} is taken: make one with manage.py createsuperuser."
        )
    return User.objects.create_superuser(ADMIN)


def first_password(owner: User) -> str | None:
    """Set and return a password if the administrator has none; None if there is nothing to do.

    It is set at the end of a start, just before it is printed, so a start that fails half-way does not lose it.
    """
    if owner.has_usable_password() or owner.get_username() != ADMIN or owner.last_login is not None:
        return None
    password = get_random_string(PASSWORD_LENGTH)
    owner.set_password(password)
    owner.save(update_fields=["password"])
    return password
