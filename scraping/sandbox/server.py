"""A small threading HTTP/1.1 server that stops at once, even with open connections."""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from scraping.sandbox.faults import Answer

STOP_SECONDS = 5
BODY_MAX = 1_000_000  # bytes


@dataclass(frozen=True)
class Request:
    """One request; ``status`` is the status of its answer, once it is sent."""

    method: str
    target: str  # path and query, as received
    headers: Mapping[str, str]  # names in lower case
    body: str = ""
    status: int = 0

    @cached_property
    def path(self) -> str:
        """Return the decoded path without the .json that clients may add."""
        return unquote(urlsplit(self.target).path).removesuffix(".json")

    @cached_property
    def query(self) -> dict[str, str]:
        """Return the parameters of the address."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """Return the parameters of the body."""
        return dict(parse_qsl(self.body, keep_blank_values=True))

    def given(self, name: str, default: str = "") -> str:
        """Return a parameter of the form or the query."""
        return self.form.get(name, self.query.get(name, default))

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return an integer parameter within bounds; anything unreadable is the default."""
        try:
            return min(high, max(low, int(self.given(name))))
        except ValueError:
            return default


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread of its own.

    Raises:
        OSError: the port is taken, or the address is not of this host.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self._connections: set[Any] = set()
        self._changed = threading.Condition()
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of its own name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def start(self) -> None:
        """Serve from a thread."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Free the port and close all connections."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next request
                except OSError:
                    continue  # the client closed it first
            self._changed.wait_for(lambda: not self._connections, timeout=STOP_SECONDS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that ``stop`` can close it."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect; report all other errors, which are bugs."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "snooserv"
    sys_version = ""
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_MAX:
            self.close_connection = True
            self._send(Answer(413, "", "text/plain"))
            return
        body = self.rfile.read(int(length)).decode(errors="replace")
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(Request(self.command, self.path, headers, body))
        if answer.fails == "hang":
            self.close_connection = True
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode()
        length = len(body)
        if answer.fails == "truncate":
            length = max(length, 2)
            body, self.close_connection = body[: length // 2], True
        self.send_response(answer.status, _reason(answer.status))
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(length))
        if self.close_connection:
            # Sent explicitly: otherwise the client would reuse the connection and lose its next request.
            self.send_header("connection", "close")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Log nothing: ``SandboxReddit.requests`` keeps the requests."""


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Error"  # such as 520
