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
SESSION_EXPIRED = "person.session_expired"
FACTOR_ADDED, FACTOR_REMOVED, FACTOR_RENEWED = (
    "person.factor_added",
    "person.factor_removed",
    "person.factor_renewed",
)
SESSIONS_ENDED = "person.sessions_ended"
FACTOR_FAILED, FACTORS_RESET = "person.factor_failed", "person.factors_reset"
RESET_ASKED, RESET_DONE, RESET_REFUSED = (
    "person.reset_asked",
    "person.reset_done",
    "person.reset_refused",
)
OPENID_REFUSED = "person.openid_refused"
TOKEN_REUSED, TOKENS_REVOKED = "token.reused", "token.revoked"
words.register(
    {
        SESSIONS_ENDED: gettext_noop("ended sessions of an account"),
        FACTOR_ADDED: gettext_noop("added a second factor"),
        FACTOR_REMOVED: gettext_noop("removed a second factor"),
        FACTOR_RENEWED: gettext_noop("made new recovery codes"),
        FACTOR_FAILED: gettext_noop("entered a wrong code of a second factor"),
        FACTORS_RESET: gettext_noop("removed the second factors of an account"),
        TOKEN_REUSED: gettext_noop("used a refresh token twice: its sign-in was ended"),
        TOKENS_REVOKED: gettext_noop("revoked API tokens"),
        RESET_ASKED: gettext_noop("asked for a new password by mail"),
        RESET_DONE: gettext_noop("set a new password by mail"),
        RESET_REFUSED: gettext_noop("was refused a new password by mail"),
        OPENID_REFUSED: gettext_noop("was refused a sign-in through OpenID"),
        SESSION_EXPIRED: gettext_noop("was signed out after a time without use"),
        SIGNED_IN: gettext_noop("signed in"),
        SIGN_IN_FAILED: gettext_noop("failed to sign in"),
        SIGN_IN_REFUSED: gettext_noop("was refused after too many failures"),
        SIGNED_OUT: gettext_noop("signed out"),
        PASSWORD_CHANGED: gettext_noop("changed the own password"),
        REFUSED: gettext_noop("was refused a page"),
    }
)
# What only says who came or was sent away, and changed nothing.
VISITS = frozenset(
    {
        SIGNED_IN,
        SIGN_IN_FAILED,
        SIGN_IN_REFUSED,
        SIGNED_OUT,
        SESSION_EXPIRED,
        FACTOR_FAILED,
        RESET_ASKED,
        RESET_REFUSED,
    }
    | {OPENID_REFUSED, REFUSED}
)
# A typed name or a requested path is cut at this length.
TEXT_MAX = 60


def signed_in(user: Any, *, through: str = "") -> None:
    """Record that somebody signed in; ``through``: the provider that said who they are."""
    record(SIGNED_IN, subject_of(user), by=user, parameters={"through": through} if through else None)


def openid_refused(cause: str) -> None:
    """Record that a sign-in through a provider ended without one; ``cause``: a code."""
    try_to_record(OPENID_REFUSED, _who(None, ""), parameters={"cause": cause})


def sign_in_failed(name: str, *, is_refused: bool = False) -> None:
    """Record a failed sign-in with the name as it was typed, and never the password."""
    record(SIGN_IN_REFUSED if is_refused else SIGN_IN_FAILED, _who(None, name))


def signed_out(*, user: Any, **_kwargs: Any) -> None:
    """Record that somebody signed out."""
    if isinstance(user, User):
        record(SIGNED_OUT, subject_of(user), by=user)


def session_expired(user: User) -> None:
    """Record that a session ended because it was not used."""
    record(SESSION_EXPIRED, subject_of(user), by=user)


def reset_asked(user: User | None, name: str) -> None:
    """Record that somebody asked for a mail to set a new password; None: no account has the name that was typed."""
    record(RESET_ASKED, _who(user, name))


def reset_done(user: User) -> None:
    """Record that a person set a new password by mail."""
    record(RESET_DONE, subject_of(user), by=user, after={"password": CHANGED})


def reset_refused(user: User | None, name: str, *, cause: str) -> None:
    """Record a refusal; ``cause``: ``limit``, too many requests, or ``secret``, one that cannot be used."""
    try_to_record(RESET_REFUSED, _who(user, name), parameters={"cause": cause})


def factor_event(verb: str, user: User, factor: str) -> None:
    """Record that a person changed their own second factors; ``factor``: its kind."""
    record(verb, subject_of(user), by=user, parameters={"factor": factor})


def factor_failed(user: User, factor: str) -> None:
    """Record a wrong code; the person is not signed in yet, so the event has no actor."""
    record(FACTOR_FAILED, subject_of(user), parameters={"factor": factor})


def _who(user: User | None, name: str) -> Subject:
    if user is not None:
        return subject_of(user)
    typed = _storable(name) or "–"
    return Subject(SIGN_IN, typed, typed)


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
