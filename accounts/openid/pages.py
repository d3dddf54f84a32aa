"""The way to the provider and back.

    POST openid/          keeps state, nonce and PKCE verifier in the session, and leads to the provider
    GET  openid/answer/   takes the state out of the session, exchanges the code, verifies, signs in

The first answers with a page that leads on, not with a redirect: browsers apply ``form-action`` to all redirects after
a form, and the provider may lead on to others. So the Content-Security-Policy stays as it is.
"""

import base64
import hashlib
import logging
import secrets
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.account.signals import user_logged_in
from allauth.account.stages import LoginStageController
from allauth.mfa.stages import AuthenticateStage
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import limits
from accounts.openid import identity, people, provider
from accounts.openid.provider import Refused
from accounts.password_reset_pages import absolute
from adminkit.address import client_address
from audit import access
from database import clock

logger = logging.getLogger(__name__)

# In the session: the sign-ins that have begun; whether it began at the provider; when the provider last asked again.
BEGUN, THROUGH, AGAIN_AT = "openid_begun", "openid", "openid_again_at"
BEGUN_MAX, BEGUN_SECONDS = 5, 600
AGAIN_SECONDS = 300
OF_AN_ADDRESS = "60/m"

TEXTS: dict[str, Promise] = {
    "unreachable": _("%(name)s does not answer. Try again in a minute."),
    "misconfigured": _("%(name)s is not set up correctly for this console. Tell an administrator."),
    "answer": _("%(name)s answered with an error. Try again in a minute."),
    "denied": _("%(name)s did not let you in, or you cancelled."),
    "state": _("This sign-in was used, took too long, or began in another browser. Begin again."),
    "code": _("%(name)s did not accept the sign-in. Begin again."),
    "token": _(
        "The answer of %(name)s could not be verified, so you were not signed in. Tell an administrator."
    ),
    "domain": _("%(name)s knows you, but your mail address may not be used here. Ask an administrator."),
    "role": _("%(name)s knows you, but none of your groups there has a role here. Ask an administrator."),
    "account": _(
        "%(name)s knows you, but you have no account here that you could use. Ask an administrator."
    ),
    "again": _("%(name)s did not confirm that it is you. Begin again."),
    "limit": _("Too many attempts: wait a minute, then try again."),
}


@never_cache
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Lead to the provider; with ``again``, for a signed-in person who must prove once more who they are."""
    _require_on()
    is_again = bool(request.POST.get("again")) and request.user.is_authenticated
    if request.user.is_authenticated and not is_again:
        return HttpResponseRedirect(reverse("admin:index"))
    try:
        if not limits.allows("openid", f"address {client_address(request)}", rate=OF_AN_ADDRESS):
            raise Refused("limit")
        address = _begin(request, is_again=is_again)
    except Refused as refusal:
        return _refused(request, refusal, back=_next(request) if is_again else "")
    frame = {**admin.site.each_context(request), "title": _("Log in"), "provider": settings.OIDC_NAME}
    return TemplateResponse(request, "account/openid_leads_on.html", {**frame, "address": address})


@never_cache
@require_safe
def answer(request: HttpRequest) -> HttpResponse:
    """Take the provider's answer, and sign the person in."""
    _require_on()
    begun: dict[str, Any] = {}
    try:
        begun = _taken(request)
        found = _identity(request, begun)
        if begun["again"]:
            return _confirmed(request, found, begun["next"])
        return _sign_in(request, people.person_of(found), begun["next"])
    except Refused as refusal:
        return _refused(request, refusal, back=begun.get("next", "") if begun.get("again") else "")


def was_confirmed(request: HttpRequest) -> bool:
    """Whether the provider has confirmed within five minutes who the person is."""
    confirmed_at: float = request.session.get(AGAIN_AT, 0)
    return time.time() - confirmed_at < AGAIN_SECONDS


def _require_on() -> None:
    if not provider.is_on():
        raise Http404(gettext("This console has no OpenID provider."))


def _begin(request: HttpRequest, *, is_again: bool) -> str:
    """Keep in the session what the answer is checked with; return the provider's address."""
    found = provider.configuration()
    state, nonce, verifier = (secrets.token_urlsafe(32) for _number in range(3))
    kept = _live(request)[-(BEGUN_MAX - 1) :]
    new = {"state": state, "nonce": nonce, "verifier": verifier, "at": time.time()}
    request.session[BEGUN] = [*kept, {**new, "next": _next(request), "again": is_again}]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": settings.OIDC_CLIENT_ID,
        "redirect_uri": _redirect_uri(request),
        "scope": settings.OIDC_SCOPES,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **({"prompt": "login", "max_age": "0"} if is_again else {}),
    }
    separator = "&" if "?" in found.authorize else "?"
    return f"{found.authorize}{separator}{urlencode(query)}"


def _live(request: HttpRequest) -> list[dict[str, Any]]:
    since = time.time() - BEGUN_SECONDS
    return [one for one in request.session.get(BEGUN, []) if one["at"] > since]


def _taken(request: HttpRequest) -> dict[str, Any]:
    """Take the sign-in that this answers out of the session: each is answered once."""
    state, begun = request.GET.get("state", ""), _live(request)
    found = next(
        (
            one
            for one in begun
            if secrets.compare_digest(one["state"].encode(), state.encode(errors="replace"))
        ),
        None,
    )
    if found is None:
        raise Refused("state")
    request.session[BEGUN] = [one for one in begun if one is not found]
    # Two requests with the same state at the same moment: the provider accepts the code once.
    request.session.save()
    return found


def _identity(request: HttpRequest, begun: dict[str, Any]) -> identity.Identity:
    # RFC 9207: an answer of another provider.
    issuer = request.GET.get("iss")
    if issuer is not None and issuer != provider.configuration().issuer:
        raise Refused("token")
    if error := request.GET.get("error"):
        raise Refused("denied" if error == "access_denied" else "answer")
    code = request.GET.get("code", "")
    if not code:
        raise Refused("answer")
    return identity.fetch(
        code, nonce=begun["nonce"], verifier=begun["verifier"], redirect_uri=_redirect_uri(request)
    )


def _confirmed(request: HttpRequest, found: identity.Identity, target: str) -> HttpResponse:
    user, at = request.user, found.authenticated_at
    is_old = at is not None and time.time() - at > AGAIN_SECONDS
    if not isinstance(user, User) or is_old or not people.is_the_same(found, user):
        raise Refused("again")
    request.session[AGAIN_AT] = time.time()
    return HttpResponseRedirect(target or reverse("admin:index"))


def _sign_in(request: HttpRequest, user: User, target: str) -> HttpResponse:
    """Sign in as django-allauth does, so that its checks and events are the same for every way in."""
    record_authentication(request, user, method="openid")
    login = Login(user=user, redirect_url=target or None, signal_kwargs={"through": settings.OIDC_NAME})
    if not settings.OIDC_SECOND_FACTOR:
        LoginStageController(request, login).set_handled(AuthenticateStage.key)
    response: HttpResponse = perform_login(request, login)
    return response


@receiver(user_logged_in, dispatch_uid="accounts.openid.signed_in")
def _signed_in(*, request: HttpRequest, through: str = "", **_kwargs: Any) -> None:
    """Mark the session by the way in, after all steps: an abandoned one must leave no mark."""
    request.session.pop(AGAIN_AT, None)
    request.session.pop(THROUGH, None)
    if through:
        request.session[THROUGH] = True
        # A moment: a number of seconds would count anew each time the session is saved, which use does every minute.
        request.session.set_expiry(clock.now() + timedelta(hours=settings.OIDC_SESSION_HOURS))


def _refused(request: HttpRequest, refusal: Refused, *, back: str) -> HttpResponse:
    logger.warning(
        "Sign-in through OpenID refused: %s, address %s, path %s",
        refusal.cause,
        client_address(request),
        request.path,
    )
    if refusal.cause not in ("state", "limit"):  # which anybody can cause without the provider
        access.openid_refused(refusal.cause)
    messages.error(request, TEXTS[refusal.cause] % {"name": settings.OIDC_NAME})
    return HttpResponseRedirect(back or reverse("admin:login"))


def _redirect_uri(request: HttpRequest) -> str:
    return absolute(request, reverse("openid_answer"))


def _next(request: HttpRequest) -> str:
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if is_ours else ""


urlpatterns: list[URLPattern] = [
    path("", start, name="openid_start"),
    path("answer/", answer, name="openid_answer"),
]
