"""Private servers of a test, which it may kill: a PostgreSQL cluster and a broker."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg2
import pytest
from django.core.management import call_command
from django.db import connection

from console.local import broker
from tests.kit.waiting import wait_until


class OwnBroker:
    """A broker on a unix socket, as `up` starts it; killing it loses its messages."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="broker-"))
        self.socket = self.directory / "broker.sock"
        self.url = f"redis+socket://{self.socket}"
        self._process = None

    def start(self):
        command = broker.broker_command(
            server=broker.find_server(), socket=self.socket, directory=self.directory / "data"
        )
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: broker.broker_answers(self.socket), timeout=20)

    def hang(self):
        """Stop answering while the port stays open, like a swapping host or a frozen container."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def kill_and_empty(self):
        self._process.kill()
        self._process.wait(10)
        shutil.rmtree(self.directory / "data")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait(10)
        shutil.rmtree(self.directory)


@contextlib.contextmanager
def own_broker(settings):
    """Let the test's services use a private broker; this process sends nothing to it."""
    with OwnBroker() as server:
        settings.CELERY_BROKER_URL = server.url
        yield server


class OwnPostgres:
    """A PostgreSQL cluster in a separate directory."""

    def __init__(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("no PostgreSQL server is installed whose cluster could be made")
        self._bin = found[-1].parent
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def _run(self, *command):
        # As another user, because PostgreSQL refuses to run as root.
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*prefix, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self):
        options = (
            f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )
        self._run(
            self._bin / "pg_ctl", "-D", self.directory / "data", "-w", "-l", self.directory / "log",
            "-o", options, "start",
        )  # fmt: skip

    def stop(self):
        """Stop at once, as a crash does: every connection breaks."""
        self._run(self._bin / "pg_ctl", "-D", self.directory / "data", "-m", "immediate", "-w", "stop")

    def __enter__(self):
        if os.getuid() == 0:
            shutil.chown(self.directory, "postgres")
        self._run(
            self._bin / "initdb", "-D", self.directory / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"
        )
        self.start()
        with contextlib.closing(
            psycopg2.connect(f"postgres://postgres@127.0.0.1:{self.port}/postgres")
        ) as made:
            made.autocommit = True
            made.cursor().execute("CREATE DATABASE console")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.directory)


@contextlib.contextmanager
def own_postgres():
    """Use a private, migrated database in this process and in the services that the test starts."""
    with OwnPostgres() as server:
        before = dict(connection.settings_dict)
        connection.close()
        connection.settings_dict.update(
            HOST="127.0.0.1", PORT=server.port, NAME="console", USER="postgres", PASSWORD=""
        )
        try:
            call_command("migrate", verbosity=0)
            yield server
        finally:
            connection.close()
            connection.settings_dict.update(before)


# Calls without a schema find these functions before PostgreSQL's own.
MOVABLE_CLOCK = """
CREATE SCHEMA shadow;
CREATE TABLE shadow.clock (ahead interval NOT NULL);
INSERT INTO shadow.clock VALUES ('0');
CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql
  AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM shadow.clock';
CREATE FUNCTION shadow.statement_timestamp() RETURNS timestamptz LANGUAGE sql
  AS 'SELECT pg_catalog.statement_timestamp() + ahead FROM shadow.clock';
CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql
  AS 'SELECT pg_catalog.now() + ahead FROM shadow.clock';
ALTER DATABASE console SET search_path = shadow, pg_catalog, public;
"""


def make_clock_movable():
    """Give the private PostgreSQL a clock that ``move_clock`` sets, for all new connections."""
    with connection.cursor() as cursor:
        cursor.execute(MOVABLE_CLOCK)
    connection.close()


def move_clock(ahead):
    """Set the clock ahead of the machine's, or behind it, by a timedelta."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shadow.clock SET ahead = %s", [ahead])


def clock_shows():
    """Return the time of the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]
