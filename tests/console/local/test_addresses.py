"""Free ports, and addresses that answer."""

import socket

import pytest

from console.local.addresses import bracketed, reachable, sandbox_port, serves_requests


def test_the_sandbox_keeps_its_port(tmp_path):
    first = sandbox_port(tmp_path / "port")

    assert sandbox_port(tmp_path / "port") == first


@pytest.mark.parametrize("text", ["", "no number", "99999999"])
def test_a_spoilt_memory_of_the_port_is_written_anew(tmp_path, text):
    (tmp_path / "port").write_text(text)

    assert (tmp_path / "port").read_text() != str(sandbox_port(tmp_path / "port"))
    assert sandbox_port(tmp_path / "port") == int((tmp_path / "port").read_text())


def test_a_sandbox_port_that_is_taken_meanwhile_is_replaced(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "port").write_text(str(port))

        assert sandbox_port(tmp_path / "port") != port


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
def test_the_address_that_is_shown_can_be_opened(host, address):
    assert bracketed(reachable(host)) == address


def test_loopback_goes_through_no_proxy(live_server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert serves_requests("127.0.0.1", int(live_server.url.rpartition(":")[2]))
