"""The web server stops without connection resets: it answers accepted connections, and refuses later ones."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from console.local import processes
from tests.kit.waiting import wait_until

CLIENTS = 16


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def web(tmp_path):
    port = free_port()
    command = processes.web(host="127.0.0.1", port=port)
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    environment = {**os.environ, "READ_DOT_ENV": "false", "VAR_DIR": str(settings.VAR_DIR)}
    server = subprocess.Popen(
        [gunicorn, *command[1:]],
        env=environment,
        cwd=settings.BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(port), timeout=60)
        yield server, port
    finally:
        server.kill()
        server.wait(10)


def ask_until_refused(port, outcomes, answered, *, keeps_alive):
    """Send requests, on one connection or each on a new one, until no process listens any more."""
    connection, kind = None, "fresh"
    while True:
        if connection is None:
            kind = "fresh"
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.connect()
            except OSError:
                outcomes["refused"] += 1
                return
        try:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            outcomes[f"reset on a {kind} connection"] += 1
            connection.close()
            connection = None
            continue
        outcomes["answered"] += 1
        kind = "kept"
        answered.set()
        if response.will_close or not keeps_alive:
            connection.close()
            connection = None


@pytest.mark.slow
@pytest.mark.parametrize("keeps_alive", [True, False])
def test_a_stop_under_load_resets_nobody(web, keeps_alive):
    server, port = web
    outcomes, answered = Counter(), [threading.Event() for _ in range(CLIENTS)]
    clients = [
        threading.Thread(
            target=ask_until_refused, args=(port, outcomes, event), kwargs={"keeps_alive": keeps_alive}
        )
        for event in answered
    ]
    for client in clients:
        client.start()
    for event in answered:
        assert event.wait(60)

    server.send_signal(signal.SIGTERM)

    for client in clients:
        client.join(60)
    assert server.wait(30) == 0
    assert outcomes["refused"] == CLIENTS
    assert outcomes["reset on a kept connection"] == 0
    assert outcomes["reset on a fresh connection"] == 0


@pytest.mark.slow
def test_a_reload_lets_new_connections_in(web):
    server, port = web
    before = {child.pid for child in psutil.Process(server.pid).children()}

    server.send_signal(signal.SIGHUP)

    wait_until(
        lambda: before.isdisjoint(child.pid for child in psutil.Process(server.pid).children()), timeout=60
    )
    wait_until(lambda: all(answers(port) for _ in range(4)), timeout=60)
