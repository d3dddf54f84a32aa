"""Holds the requests of an apprise plugin to the rules for webhooks.

A plugin calls ``requests.post``. Its module gets ``Requests`` in place of the package, whose sessions send through
``alerts.channels.http``: one look-up of the name, a connection to exactly the address that was checked, no proxy, no
redirect, TLS always verified, and a limit on the time and the number of requests of one message.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.client import HTTPException
from io import BytesIO
from types import ModuleType
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from alerts.channels import http
from alerts.channels.addresses import AddressRefused
from database.messages import gettext as _

# All requests of one message together: seconds, and how many.
MESSAGE_SECONDS, REQUESTS_MAX = 30.0, 10
# A plugin reads its service's answer.
BODY_MAX = 65_536


@dataclass
class Exchange:
    """The requests of one message: what they may do, and what was answered."""

    allows_private: bool
    ends_at: float = field(default_factory=lambda: time.monotonic() + MESSAGE_SECONDS)
    sent: int = 0
    # The last answer; None: there was none.
    status: int | None = None
    body: bytes = b""
    # Why a request was not sent or not answered.
    problem: str = ""


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def exchange(*, allows_private: bool) -> Iterator[Exchange]:
    """Let the plugins that are called within the block send requests; yield what becomes of them."""
    made = Exchange(allows_private)
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)


class _Adapter(BaseAdapter):
    """Sends one prepared request through ``alerts.channels.http``."""

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> requests.Response:
        """Return the answer; a redirect is an answer.

        Raises:
            requests.ConnectionError: the address is refused, there is no answer, or a limit is reached. Its text does
                not contain the address: that may be a secret.
        """
        made = _current.get()
        if made is None:
            raise requests.ConnectionError("This plugin sends only for the console.")
        left = made.ends_at - time.monotonic()
        if left <= 0 or made.sent >= REQUESTS_MAX:
            made.problem = _("It takes too many requests, or too long.")
            raise requests.ConnectionError(made.problem)
        made.sent += 1
        try:
            reply = self._send(request, made, left)
        except AddressRefused as error:
            made.problem = error.args[0]
            raise requests.ConnectionError(made.problem) from None
        except (OSError, HTTPException, ValueError) as error:
            made.problem = f"{type(error).__name__}: {error}"
            raise requests.ConnectionError(made.problem) from None
        made.status, made.body, made.problem = reply.status, reply.body, ""
        return _response(request, reply)

    def _send(self, request: requests.PreparedRequest, made: Exchange, left: float) -> http.Reply:
        body = request.body or b""
        return http.request(
            request.method or "GET",
            request.url or "",
            body.encode() if isinstance(body, str) else body,
            # Not compressed: nothing here would unpack it.
            {**request.headers, "Accept-Encoding": "identity"},
            allows_private=made.allows_private,
            limit=BODY_MAX,
            seconds=min(left, http.TOTAL_SECONDS),
        )

    def close(self) -> None:
        """Each request has a connection of its own, which is closed."""


def _response(request: requests.PreparedRequest, reply: http.Reply) -> requests.Response:
    response = requests.Response()
    response.status_code, response.url, response.request = reply.status, request.url or "", request
    response.headers.update(reply.headers)
    response.raw = HTTPResponse(BytesIO(reply.body), status=reply.status, preload_content=False)
    response.encoding = "utf-8"
    return response


class Requests:
    """What a plugin's module sees as the package ``requests``."""

    def __getattr__(self, name: str) -> Any:
        """Return codes and exceptions of the real package; nothing of it that sends."""
        if name in ("codes", "exceptions", "Response") or name.endswith(("Exception", "Error", "Timeout")):
            return getattr(requests, name)
        raise AttributeError(name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request, and do not follow a redirect."""
        with requests.Session() as session:
            # No proxy, and no password of a .netrc.
            session.trust_env = False
            session.mount("https://", _Adapter())
            session.mount("http://", _Adapter())
            return session.request(method, url, **{**options, "allow_redirects": False})

    def get(self, url: str, **options: Any) -> requests.Response:
        """Send a GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """Send a POST."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> requests.Response:
        """Send a PUT."""
        return self.request("PUT", url, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        """Send a DELETE."""
        return self.request("DELETE", url, **options)


def hold(module: ModuleType) -> None:
    """Let the plugins of a module send only through this one."""
    module.requests = Requests()  # type: ignore[attr-defined]
