"""Access control of the sandbox: tokens and the rate limit."""

import base64
import binascii
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WINDOW_SECONDS = 600
REQUESTS_PER_WINDOW = 1_000  # 100 per minute, averaged over ten minutes
TOKEN_SECONDS = 86_400
INSTALLED_CLIENT = "https://oauth.reddit.com/grants/installed_client"


class CredentialsError(Exception):
    """The credentials of the client are wrong."""


@dataclass(frozen=True)
class Token:
    """The app and user of a bearer token."""

    client_id: str
    username: str  # empty: the app itself
    expires_at: float


class Access:
    """Issues bearer tokens and checks them."""

    def __init__(
        self,
        *,
        clients: Mapping[str, str],
        users: Mapping[str, str],
        expires_in: int,
        clock: Callable[[], float],
    ) -> None:
        self.clients = dict(clients)
        self.users = dict(users)
        self.expires_in = expires_in
        self.clock = clock
        self._tokens: dict[str, Token] = {}

    def grant(self, authorization: str, form: Mapping[str, str]) -> dict[str, str | int]:
        """Return the answer of the token endpoint.

        As on Reddit, a wrong password or an unknown grant is a 200 that holds an ``error``.

        Raises:
            CredentialsError: client id or secret is wrong.
        """
        client_id = self._client(authorization)
        grant, username = form.get("grant_type", ""), ""
        if grant == "password":
            username = form.get("username", "")
            known = self.users.get(username)
            if known is None or not secrets.compare_digest(known.encode(), form.get("password", "").encode()):
                return {"error": "invalid_grant"}
        elif grant not in ("client_credentials", INSTALLED_CLIENT):
            return {"error": "unsupported_grant_type"}
        value = secrets.token_urlsafe(32)
        self._tokens[value] = Token(client_id, username, self.clock() + self.expires_in)
        return {"access_token": value, "token_type": "bearer", "expires_in": self.expires_in, "scope": "*"}

    def _client(self, authorization: str) -> str:
        scheme, _, encoded = authorization.partition(" ")
        try:
            client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise CredentialsError from None
        known = self.clients.get(client_id)
        if scheme.lower() != "basic" or known is None:
            raise CredentialsError
        if not secrets.compare_digest(known.encode(), secret.encode()):
            raise CredentialsError
        return client_id

    def token(self, authorization: str) -> Token | None:
        """Return the app and user of a bearer token, or None if it is unknown or expired."""
        scheme, _, value = authorization.partition(" ")
        token = self._tokens.get(value) if scheme.lower() == "bearer" else None
        return token if token and token.expires_at > self.clock() else None

    def expire_all(self) -> None:
        """Make all tokens issued so far invalid."""
        self._tokens.clear()


class RateLimit:
    """Counts the requests of each client id in windows (Reddit's have ten minutes)."""

    def __init__(
        self,
        *,
        requests: int,
        enforced: bool,
        clock: Callable[[], float],
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        self.requests = requests
        self.enforced = enforced
        self.window_seconds = window_seconds
        self.clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, int]] = {}  # client id: end of the window, requests in it

    def count(self, client_id: str) -> tuple[bool, dict[str, str]]:
        """Count one request; return whether it is allowed, and the rate headers."""
        now = self.clock()
        end = (now // self.window_seconds + 1) * self.window_seconds
        with self._lock:
            window, used = self._used.get(client_id, (end, 0))
            used = used + 1 if window == end else 1
            self._used[client_id] = (end, used)
        headers = {
            "x-ratelimit-used": str(used),
            "x-ratelimit-remaining": f"{max(0, self.requests - used):.1f}",
            "x-ratelimit-reset": self._reset(end - now),
        }
        return not self.enforced or used <= self.requests, headers

    def _reset(self, seconds: float) -> str:
        # Whole seconds, as Reddit gives them; a short window of a test needs fractions.
        return str(max(1, round(seconds))) if self.window_seconds >= WINDOW_SECONDS else f"{seconds:.3f}"
