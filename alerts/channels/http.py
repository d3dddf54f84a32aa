"""A request to an address that was checked: one look-up, one connection, no redirect, a limit on all of it together."""

import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlsplit

from django.conf import settings

from alerts.channels.addresses import AddressRefused, resolve
from alerts.channels.answers import ANSWER_LENGTH, Answer, secrets_in

AGENT = "maintenance-console"
# Seconds for each step (connect, send, one read), and for all of them together.
STEP_SECONDS, TOTAL_SECONDS = 10.0, 15.0
# What stays as it is in a path and its query; "%" because they may be quoted already.
_SAFE = "%/?:@!$&'()*+,;=~-._[]"


class _Connection(HTTPConnection):
    """A connection to an IP address that was checked; TLS still checks the host's name."""

    def __init__(self, host: str, ip: str, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=STEP_SECONDS)
        self.default_port = 443 if context else 80
        self._ip, self._context = ip, context

    def connect(self) -> None:
        """Connect, without another look-up of the name."""
        self.sock = socket.create_connection((self._ip, self.port), STEP_SECONDS)
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End a request that takes too long, from another thread."""
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Reply:
    """What a server answered: its body is cut off at a limit."""

    status: int
    headers: dict[str, str]
    body: bytes


def tell(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Post to an address that somebody has entered, and return what its server says, without secrets of the address."""
    secrets = secrets_in(url)
    try:
        allows_private = settings.WEBHOOKS_TO_PRIVATE_ADDRESSES
        status, text = post(url, body, {"User-Agent": AGENT, **headers}, allows_private=allows_private)
    except AddressRefused as error:
        return Answer(error.args[0])
    except (OSError, HTTPException, ValueError) as error:
        return Answer.of_error(error, secrets)
    return Answer.of_status(status, text, secrets)


def post(url: str, body: bytes, headers: dict[str, str], *, allows_private: bool) -> tuple[int, str]:
    """Return status and the first characters of the answer to a POST; for the errors see ``request``."""
    reply = request("POST", url, body, headers, allows_private=allows_private, limit=ANSWER_LENGTH)
    return reply.status, " ".join(reply.body.decode(errors="replace").replace("\0", "").split())


def request(
    method: str,
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    allows_private: bool,
    limit: int,
    seconds: float | None = None,
) -> Reply:
    """Return the answer, with at most ``limit`` bytes of its body; a redirect is an answer, and is not followed.

    Args:
        method: of the request.
        url: its address.
        body: its body.
        headers: its headers.
        allows_private: whether the address may be loopback or private.
        limit: bytes of the answer that are read.
        seconds: for all of it; None: 15.

    Raises:
        AddressRefused: see ``resolve``.
        OSError; HTTPException; ValueError: there is no usable answer.
    """
    host, ip, port = resolve(url, allows_private=allows_private)
    parts = urlsplit(url)
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    connection = _Connection(host, ip, port, context)
    # A server that sends one byte at a time keeps each step short, and the request long.
    timer = threading.Timer(TOTAL_SECONDS if seconds is None else seconds, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read(limit))
    finally:
        timer.cancel()
        connection.close()
