"""Speaks HTTP with the provider: its configuration, its keys, tokens for a code, and what it says about a person.

Nothing of an answer is logged or shown: it may hold a secret.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

import requests
from django.conf import settings

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 4, 8, 12
ANSWER_MAX = 1_000_000  # bytes
# How long the configuration and the keys are kept, and how soon an unknown key lets them be fetched again.
KEPT_SECONDS, AGAIN_SECONDS = 600, 30
WELL_KNOWN = "/.well-known/openid-configuration"

Json = dict[str, Any]


class Refused(Exception):
    """The sign-in cannot go on; ``cause`` is a code for the log, the event and the text on the page."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True)
class Configuration:
    """The provider's discovery document, as far as it is used."""

    issuer: str
    authorize: str
    token: str
    keys: str
    userinfo: str
    posts_secret: bool


@dataclass(frozen=True)
class _Kept:
    at: float
    value: Any


_kept: dict[tuple[str, str], _Kept] = {}
_lock = threading.Lock()


def is_on() -> bool:
    """Whether people may sign in through a provider."""
    return bool(settings.OIDC_ISSUER)


def configuration() -> Configuration:
    """Return the provider's configuration.

    Raises:
        Refused: ``unreachable``, or ``misconfigured``: it is that of another issuer, or names unusable addresses.
    """
    address = settings.OIDC_ISSUER.rstrip("/") + WELL_KNOWN
    found: Configuration = _cached("configuration", address, lambda: _read(_call("GET", address)))
    return found


def keys(*, anew: bool = False) -> list[Json]:
    """Return the provider's public keys (JWK); ``anew``: fetch them again, unless that was done a moment ago.

    Raises:
        Refused: as ``configuration``.
    """
    address = configuration().keys

    def read() -> list[Json]:
        found = _call("GET", address).get("keys")
        if not isinstance(found, list):
            raise Refused("misconfigured")
        return [key for key in found if isinstance(key, dict)]

    found: list[Json] = _cached("keys", address, read, AGAIN_SECONDS if anew else KEPT_SECONDS)
    return found


def exchange(code: str, *, verifier: str, redirect_uri: str) -> Json:
    """Exchange the code for tokens.

    Raises:
        Refused: ``unreachable``, or ``code``: the provider does not accept the code.
    """
    found = configuration()
    data = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "client_id": settings.OIDC_CLIENT_ID,
    }
    auth = None
    if settings.OIDC_CLIENT_SECRET and found.posts_secret:
        data["client_secret"] = settings.OIDC_CLIENT_SECRET
    elif settings.OIDC_CLIENT_SECRET:
        # RFC 6749, section 2.3.1: both parts are encoded as in a form.
        auth = (quote_plus(settings.OIDC_CLIENT_ID), quote_plus(settings.OIDC_CLIENT_SECRET))
    return _call("POST", found.token, refusal="code", data=data, auth=auth)


def userinfo(access_token: str) -> Json:
    """Return what the provider says about the person of this access token.

    Raises:
        Refused: ``unreachable`` or ``answer``.
    """
    address = configuration().userinfo
    return _call("GET", address, headers={"Authorization": f"Bearer {access_token}"}) if address else {}


def forget() -> None:
    """Forget the configuration and the keys."""
    with _lock:
        _kept.clear()


def _cached(kind: str, address: str, make: Callable[[], Any], seconds: float = KEPT_SECONDS) -> Any:
    kept = _kept.get((kind, address))
    if kept is None or time.monotonic() - kept.at > seconds:
        # Outside the lock: a provider that hangs must not stop those who have what they need.
        kept = _Kept(time.monotonic(), make())
        with _lock:
            _kept[kind, address] = kept
    return kept.value


def _read(document: Json) -> Configuration:
    issuer = document.get("issuer")
    # A document of another issuer could put its own keys in the place of the provider's.
    if not isinstance(issuer, str) or issuer.rstrip("/") != settings.OIDC_ISSUER.rstrip("/"):
        raise Refused("misconfigured")
    methods = document.get("token_endpoint_auth_methods_supported")
    return Configuration(
        issuer=issuer,
        authorize=_address(document.get("authorization_endpoint")),
        token=_address(document.get("token_endpoint")),
        keys=_address(document.get("jwks_uri")),
        userinfo=_address(document["userinfo_endpoint"]) if document.get("userinfo_endpoint") else "",
        posts_secret=isinstance(methods, list) and "client_secret_post" in methods,
    )


def _address(value: Any) -> str:
    """Return an address of the document if it can be used; it is as well encrypted as that of the issuer."""
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        parts.port  # noqa: B018  # raises for an invalid port
    except ValueError:
        raise Refused("misconfigured") from None
    schemes = ("https",) if settings.OIDC_ISSUER.startswith("https:") else ("http", "https")
    if parts.scheme not in schemes or not parts.hostname or parts.fragment or not str(value).isprintable():
        raise Refused("misconfigured")
    if any(character in value for character in " \"'<>\\"):
        raise Refused("misconfigured")
    return str(value)


def _call(method: str, address: str, *, refusal: str = "answer", **options: Any) -> Json:
    """Return the JSON object that the provider answers.

    Raises:
        Refused: ``unreachable``; or ``refusal``: it is an error, too long, or no object.
    """
    headers = {"Accept": "application/json", **options.pop("headers", {})}
    # Without this, `requests` would put the password of a .netrc in the place of the header.
    auth = options.pop("auth", None) or _as_it_is
    try:
        with requests.request(
            method,
            address,
            headers=headers,
            auth=auth,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
            **options,
        ) as answer:
            body = _body(answer)
            status = answer.status_code
    except (requests.RequestException, OSError):
        raise Refused("unreachable") from None
    if status >= 500:
        raise Refused("unreachable")
    try:
        found = json.loads(body) if status == 200 else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(refusal)
    return found


def _body(answer: requests.Response) -> bytes:
    until, body = time.monotonic() + TOTAL_SECONDS, b""
    for part in answer.iter_content(65_536):
        body += part
        if len(body) > ANSWER_MAX or time.monotonic() > until:
            raise Refused("answer")
    return body


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
