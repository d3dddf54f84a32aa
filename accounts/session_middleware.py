"""Keeps the list of signed-in browsers, and signs out those that were not used for too long."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.models import LoginSession
from audit import access
from audit.events import current_address
from database import clock

# In the session: when it was last used (seconds since 1970), and for which key it was listed.
USED_AT, LISTED = "used_at", "listed_as"
# How exactly the last use is kept: a write for each request would cost more than most requests.
KEPT_EVERY_SECONDS = 60


class LoginSessionMiddleware:
    """List each signed-in browser with its last use, and end sessions that nobody used for ``SESSION_IDLE_MINUTES``.

    A page that refreshes itself is no use of the session: an open dashboard would otherwise keep it for ever.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        # A request without this cookie has no session, such as one to the API with a token.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            _keep(request, request.user)
        return self._get_response(request)


def is_automatic(request: HttpRequest) -> bool:
    """Whether the page asked by itself: htmx refreshes a part of it, or a script asks whether somebody is signed in."""
    return "HX-Request" in request.headers or request.headers.get("Sec-Fetch-Mode") == "cors"


def _keep(request: HttpRequest, user: User) -> None:
    session, now = request.session, clock.now()
    used = session.get(USED_AT)
    limit = timedelta(minutes=settings.SESSION_IDLE_MINUTES)
    if limit and used is not None and now.timestamp() - used > limit.total_seconds():
        _end_idle(request, user)
        return
    if session.get(LISTED) != session.session_key:
        _list(request, user)
        session[LISTED], session[USED_AT] = session.session_key, now.timestamp()
    elif not is_automatic(request) and (used is None or now.timestamp() - used >= KEPT_EVERY_SECONDS):
        session[USED_AT] = now.timestamp()
        LoginSession.objects.filter(session_id=session.session_key).update(
            used_at=now, address=current_address(), user_agent=_device(request)
        )


def _list(request: HttpRequest, user: User) -> None:
    key = request.session.session_key
    assert key is not None  # the user was read from it
    try:
        row = LoginSession(
            session_id=key,
            user=user,
            address=current_address(),
            user_agent=_device(request),
        )
        with transaction.atomic():
            LoginSession.objects.bulk_create([row], ignore_conflicts=True)
    except IntegrityError:  # the session was ended meanwhile
        return


def _device(request: HttpRequest) -> str:
    text = request.headers.get("User-Agent", "")[:300]
    return "".join(character for character in text if character.isprintable())


def _end_idle(request: HttpRequest, user: User) -> None:
    access.session_expired(user)
    # Without the signal, which would write that the person signed out.
    request.session.flush()
    request.user = AnonymousUser()
    messages.info(request, _("You were signed out because you did not use the console for a while."))
