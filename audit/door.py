"""Events of signing in and out, of changed passwords, and of refused pages."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from audit import words
from audit.activity import PAGE, SIGN_IN
from audit.events import Subject, record, subject_of, try_to_record
from audit.snapshots import CHANGED

SIGNED_IN, SIGN_IN_FAILED, SIGN_IN_REFUSED = (
    "person.signed_in",
    "person.sign_in_failed",
    "person.sign_in_refused",
)
SIGNED_OUT, PASSWORD_CHANGED, REFUSED = "person.signed_out", "person.password_changed", "page.refused"
words.register(
    {
        SIGNED_IN: gettext_noop("signed in"),
        SIGN_IN_FAILED: gettext_noop("failed to sign in"),
        SIGN_IN_REFUSED: gettext_noop("was refused after too many failures"),
        SIGNED_OUT: gettext_noop("signed out"),
        PASSWORD_CHANGED: gettext_noop("changed the own password"),
        REFUSED: gettext_noop("was refused a page"),
    }
)
# A typed name or a requested path is cut at this length.
TEXT_MAX = 60


def signed_in(user: Any) -> None:
    """Record that somebody signed in."""
    record(SIGNED_IN, subject_of(user), by=user)


def sign_in_failed(name: str, *, is_refused: bool = False) -> None:
    """Record a failed sign-in with the name as it was typed, and never the password."""
    typed = _storable(name) or "–"
    record(SIGN_IN_REFUSED if is_refused else SIGN_IN_FAILED, Subject(SIGN_IN, typed, typed))


def signed_out(*, user: Any, **_kwargs: Any) -> None:
    """Record that somebody signed out."""
    if isinstance(user, User):
        record(SIGNED_OUT, subject_of(user), by=user)


def connect() -> None:
    """Connect the receiver for sign-outs."""
    user_logged_out.connect(signed_out, dispatch_uid="audit.signed_out")


def password_changed(user: Any) -> None:
    """Record that somebody's password was changed."""
    record(PASSWORD_CHANGED, subject_of(user), by=user, after={"password": CHANGED})


def refused(request: HttpRequest) -> None:
    """Record that a page was refused; if that cannot be stored, it is logged and the answer is the same."""
    page = _storable(request.path)
    try_to_record(
        REFUSED,
        Subject(PAGE, page, page),
        by=getattr(request, "user", None),
        parameters={"method": request.method},
    )


def _storable(text: str) -> str:
    return "".join(c for c in text[:TEXT_MAX] if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF)
