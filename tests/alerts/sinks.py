"""Receivers of messages, on real sockets: a mail server, and a web server whose answers a test sets."""

import json
import socketserver
import threading
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# In the path of a ping address: whoever knows it may report that all is well.
SECRET = "0d1c5c4e-secret-7f6a"


@contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Smtp(socketserver.StreamRequestHandler):
    server: Any

    def handle(self):
        self._say("220 sink")
        while line := self.rfile.readline():
            command = line.split()[0].upper() if line.split() else b""
            if command == b"DATA":
                self._say("354 go on")
                text = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    text += line.removeprefix(b".")
                self._take(text)
            elif command == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 sink")

    def _take(self, text):
        answers = self.server.answers
        answer = answers.pop(0) if answers else "250 taken"
        if answer.startswith("2"):
            self.server.mails.append(message_from_bytes(text, policy=default))
        self._say(answer)

    def _say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_sink():
    """A mail server on ``.port``, with what it took in ``.mails``; ``.answers``: what it says next to a mail."""
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)
    server.daemon_threads = True
    server.mails, server.answers, server.port = [], [], server.server_address[1]
    with _serving(server):
        yield server


class _Web(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body, json.loads(body or b"null")))
        status, headers, text = self.server.answers.pop(0) if self.server.answers else (200, {}, "ok")
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args):
        pass


@contextmanager
def web_sink():
    """A web server at ``.url``; ``.requests``: headers, body and JSON; ``.answers``: what it answers next."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    server.requests, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/hook?a=b"
    with _serving(server):
        yield server


class _Pinged(_Web):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, body))
        status, text = self.server.answers.pop(0) if self.server.answers else (200, "OK")
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def ping_sink():
    """A service that is pinged; ``.requests``: path and body; ``.answers``: status and text of the next ones."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Pinged)
    server.requests, server.answers = [], []
    with _serving(server):
        yield server
