"""Who calls: a bearer token, or the session of a signed-in browser, which needs a CSRF token to change something."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from ninja.security.base import AuthBase

from accounts import api_tokens, personal_tokens, second_factor
from accounts.models import PersonalToken, Scope
from adminkit.address import client_address
from api import throttle
from api.problems import Problem

SAFE = ("GET", "HEAD", "OPTIONS")


def _nothing(*_args: Any) -> HttpResponse:
    return HttpResponse()


class _Csrf(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


class Signed(AuthBase):
    """Identifies the caller, counts the call, and checks the scope of a personal token.

    Args:
        scope: what a personal token needs for this call; None: no personal token may make it.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> User:
        """Return the person; ``request.user`` is this person from here on.

        Raises:
            Problem: 401, 403 or 429.
        """
        throttle.count(request, f"address:{client_address(request)}", throttle.PER_ADDRESS)
        user = self._by_token(request) if "Authorization" in request.headers else self._by_session(request)
        request.user = user
        return user

    def _by_token(self, request: HttpRequest) -> User:
        scheme, _space, secret = request.headers["Authorization"].partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else ""
        if secret.startswith(PersonalToken.PREFIX) and (personal := personal_tokens.token_of(secret)):
            return self._by_personal_token(request, personal)
        token = api_tokens.token_of(secret)
        if token is None:
            raise Problem(401, "invalid-token", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        throttle.count(request, f"token:{token.pk}", throttle.PER_CALLER)
        user: User = token.user
        _require_second_factor(user)  # its sign-in may be older than the requirement
        return user

    def _by_personal_token(self, request: HttpRequest, token: PersonalToken) -> User:
        throttle.count(request, f"personal:{token.pk}", throttle.PER_CALLER)
        _require_second_factor(token.user)
        vars(request)["personal_token"] = token
        require_scope(request, self.scope)
        personal_tokens.note_use(token)
        user: User = token.user
        return user

    def _by_session(self, request: HttpRequest) -> User:
        user = request.user
        if not isinstance(user, User) or not (user.is_active and user.is_staff):
            raise Problem(401, headers={"WWW-Authenticate": "Bearer"})
        throttle.count(request, f"person:{user.pk}", throttle.PER_CALLER)
        _require_second_factor(user)
        if request.method not in SAFE:
            check = _Csrf(_nothing)
            check.process_request(request)
            if check.process_view(request, _nothing, (), {}):
                raise Problem(403, "csrf-failed")
        return user


def _require_second_factor(user: User) -> None:
    """Refuse a person who has to set up a second factor first: there is no code that they could send.

    Raises:
        Problem: 403.
    """
    if second_factor.must_set_up(user):
        detail = (
            "Set up a second factor first: the console's pages have it in their head, under Second factor."
        )
        raise Problem(403, "second-factor-required", detail=detail)


def require_scope(request: HttpRequest, scope: Scope | None) -> None:
    """Refuse a personal token without this scope; other callers have all.

    Raises:
        Problem: 403; its ``scope`` is the name of the scope.
    """
    token: PersonalToken | None = vars(request).get("personal_token")
    if token is None or scope in token.scopes:
        return
    if scope is None:
        raise Problem(403, "insufficient-scope", detail="A personal token may not do this.")
    raise Problem(
        403,
        "insufficient-scope",
        detail=f"The token lacks the scope {scope.value}.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope.value}"'},
        scope=scope.value,
    )


READ, RUN, OPERATE, APPROVE = (Signed(scope) for scope in Scope)
PERSON = Signed(None)
