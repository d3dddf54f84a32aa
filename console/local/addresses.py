"""Ports and addresses of the services on this machine: which are free, which answer, which to open in a browser."""

import contextlib
import errno
import socket
import urllib.error
import urllib.request
from pathlib import Path

from console.local.errors import StartFailed

LOOPBACK = "127.0.0.1"

# Ignores HTTP_PROXY: these requests go to this machine.
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def refuse_taken_port(host: str, port: int) -> None:
    """Check that the web server's address is free.

    Raises:
        StartFailed: it is not.
    """
    try:
        (family, kind, protocol, _name, address), *_others = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        remedy = (
            "Stop what uses it, or choose another port with --port (make run PORT=8001)."
            if is_taken
            else "Choose an address of this machine with --host (make run HOST=127.0.0.1), and a port above 1023."
        )
        raise StartFailed(
            f"The web server cannot listen on {bracketed(host)}:{port} ({error}). {remedy}"
        ) from error


def sandbox_port(memory: Path) -> int:
    """Return a free loopback port, if possible the same as last time; ``memory`` is the file that stores it."""
    with contextlib.suppress(OSError, ValueError, OverflowError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = int(memory.read_text())
        probe.bind((LOOPBACK, port))
        return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = int(probe.getsockname()[1])
    memory.write_text(f"{port}\n")
    return port


def accepts_connections(port: int) -> bool:
    """Return whether something listens on the loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((LOOPBACK, port)) == 0


def serves_requests(host: str, port: int) -> bool:
    """Return whether the web server answers, even with an error, such as when ALLOWED_HOSTS excludes this address."""
    try:
        with WITHOUT_PROXY.open(f"http://{bracketed(host)}:{port}/healthz", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def reachable(host: str) -> str:
    """Return a local address of a server that listens on ``host``, which may mean all addresses."""
    return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104  # it compares, and binds nothing


def bracketed(host: str) -> str:
    """Return the host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
