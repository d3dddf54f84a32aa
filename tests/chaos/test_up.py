"""``manage.py up`` with real processes: it starts, it stops without leftovers, and it survives killed services."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from django.conf import settings

from console.local import processes
from tests.kit.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
# `up` is tested with its defaults: its own SQLite file and its own broker.
pytestmark = pytest.mark.skipif(
    not settings.USES_PRIVATE_BROKER, reason="belongs to the run of the suite on the embedded default"
)
START_SECONDS = 120
STOP_SECONDS = 60
# Variables that would make `up` use another directory, or the real Reddit.
FOREIGN = re.compile(
    r"DATABASE_URL|CELERY_BROKER_URL|SECRET_KEY|FIELD_ENCRYPTION_KEY|REDDIT_|ALLOWED_HOSTS|HTTPS|TIME_ZONE"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Up:
    """One start of `up`."""

    def __init__(self, var: Path, port: int, *arguments: str, **environment: str) -> None:
        self.var, self.port = var, port
        self.address = f"http://127.0.0.1:{port}"
        self.log = var.parent / f"{var.name}.{len(list(var.parent.glob('*.log')))}.log"
        inherited = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(port), "--workers", "2", *arguments],
                cwd=ROOT,
                env=inherited | {"VAR_DIR": str(var), "READ_DOT_ENV": "false"} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def until_it_is_up(self) -> "Up":
        wait_until(
            lambda: "Ctrl-C stops everything" in self.said or self.process.poll() is not None,
            timeout=START_SECONDS,
        )
        assert self.process.poll() is None, self.said
        return self

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def main_process(self, service: str) -> int:
        return int((self.var / f"run/{service}.pid").read_text().split()[0])

    def stop(self) -> None:
        """Press Ctrl-C and check that no process is left."""
        family = self.family()
        assert len(family) >= 5
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(STOP_SECONDS) == 0, self.said
        _gone, alive = psutil.wait_procs(family, timeout=2)
        assert alive == []
        assert list((self.var / "run").glob("*.pid")) == []

    def password(self) -> str | None:
        found = re.search(r"Password +(\w+)", self.said)
        return found[1] if found else None

    def rows(self, query: str) -> list[tuple]:
        database = sqlite3.connect(self.var / "console.sqlite3", timeout=20)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()


@pytest.fixture
def start(tmp_path_factory) -> Iterator:
    started: list[Up] = []
    var = tmp_path_factory.mktemp("up") / "var"

    def make(*arguments: str, port: int = 0, **environment: str) -> Up:
        started.append(Up(var, port or free_port(), *arguments, **environment))
        return started[-1]

    yield make
    for up in started:
        if up.process.poll() is None:  # the test failed
            family = up.family()
            for process in (psutil.Process(up.process.pid), *family):
                process.kill()
            up.process.wait(STOP_SECONDS)


def sign_in(address: str, user: str, password: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(f"{address}/admin/login/", timeout=20)
        assert page.status_code == 200
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        answer = session.post(
            f"{address}/admin/login/",
            data={"login": user, "password": password, "csrfmiddlewaretoken": token, "next": "/admin/"},
            headers={"Referer": f"{address}/admin/login/"},
            timeout=20,
        )
        answer.raise_for_status()
        return answer


def everything_below(folder: Path) -> bytes:
    return b"\n".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def assert_only_the_owner_reads(up):
    """Check that only the owner can read the files, apart from the static ones."""
    kept = [file for file in up.var.rglob("*") if file.is_file() and "static" not in file.parts]
    assert up.var / "console.sqlite3" in kept
    assert [file for file in kept if file.stat().st_mode & 0o077] == []


def assert_is_said_once(password, up):
    """Check that the password was shown, and is stored nowhere else."""
    commands = "\n".join(" ".join(process.cmdline()) for process in up.family())
    assert password not in commands
    assert up.said.count(password) == 1
    assert password.encode() not in everything_below(up.var)


def test_it_comes_up_scrapes_the_sandbox_stops_without_a_trace_and_comes_up_again(start):
    key = "a key of the console's that broker and sandbox have no use for"
    up = start(SECRET_KEY=key).until_it_is_up()

    assert requests.get(f"{up.address}/healthz", timeout=20).text == "ok\n"
    wait_until(lambda: requests.get(f"{up.address}/readyz", timeout=20).status_code == 200, timeout=30)
    knowing = {" ".join(one.cmdline()) for one in up.family() if one.environ().get("SECRET_KEY") == key}
    assert any(" worker " in line for line in knowing)
    assert not [line for line in knowing if "sandbox_reddit" in line or "unixsocket" in line]
    password = up.password()
    assert password
    assert "synthetic content" in up.said
    page = sign_in(up.address, "admin", password)
    assert page.url == f"{up.address}/admin/"
    assert sign_in(up.address, "admin", "wrong").url.startswith(f"{up.address}/admin/login/")
    # Names from the manifest show that the static files were collected.
    styles = re.findall(r'href="(/static/[^"]+\.css)"', page.text)
    assert styles
    assert {requests.get(up.address + style, timeout=20).status_code for style in styles} == {200}

    # Only the run that the start requested: the job's schedule may become due at any moment.
    run = "SELECT status FROM maintenance_jobrun WHERE job = 'auto_scraping' AND trigger = 'command'"
    wait_until(lambda: up.rows(run) == [("succeeded",)], timeout=60)
    ((posts,),) = up.rows("SELECT count(*) FROM scraping_redditpost")
    assert posts > 0

    assert_only_the_owner_reads(up)
    assert_is_said_once(password, up)

    second = start()
    assert second.process.wait(START_SECONDS) == 1
    assert "already running" in second.said
    assert "Traceback" not in second.said

    up.stop()

    again = start(port=up.port).until_it_is_up()
    assert again.password() is None
    assert password not in again.said
    assert sign_in(again.address, "admin", password).url == f"{again.address}/admin/"
    assert again.rows(run) == [("succeeded",)]
    ((kept,),) = again.rows("SELECT count(*) FROM scraping_redditpost")
    assert kept >= posts
    again.stop()


def test_a_killed_worker_is_started_again(start):
    up = start().until_it_is_up()
    first = up.main_process("worker")
    pool = psutil.Process(first).children()
    os.kill(first, signal.SIGKILL)

    wait_until(lambda: up.said.count(" ready.") == 2, timeout=60)

    assert up.main_process("worker") != first
    assert "worker ended by SIGKILL" in up.said
    _gone, alive = psutil.wait_procs(pool, timeout=10)
    assert alive == []
    up.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start stops what is left")
def test_nothing_outlives_a_killed_up_and_the_next_start_is_a_normal_one(start):
    up = start().until_it_is_up()
    family = up.family()
    up.process.kill()
    up.process.wait(STOP_SECONDS)

    _gone, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    assert alive == []

    start(port=up.port).until_it_is_up().stop()


def test_it_runs_the_services_of_production_and_sigterm_stops_it_as_ctrl_c_does(start):
    up = start().until_it_is_up()
    commands = {
        name: psutil.Process(up.main_process(name)).cmdline()[1:] for name in ("web", "worker", "beat")
    }
    for command in commands.values():
        command[0] = Path(command[0]).name
    family = up.family()
    up.process.terminate()

    assert up.process.wait(STOP_SECONDS) == 0
    _gone, alive = psutil.wait_procs(family, timeout=2)
    assert alive == []
    assert commands == {
        "web": processes.web(host="127.0.0.1", port=up.port),
        "worker": processes.worker(concurrency=2),
        "beat": processes.beat(),
    }


def test_ctrl_c_during_the_start_stops_it_too(start):
    up = start()
    wait_until(lambda: "Bringing the database up to date" in up.said, timeout=START_SECONDS)
    family = up.family()
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(STOP_SECONDS) == 0, up.said
    _gone, alive = psutil.wait_procs(family, timeout=2)
    assert alive == []
    assert "Traceback" not in up.said


def test_a_taken_port_is_said_before_anything_starts(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up = start(port=taken.getsockname()[1])

        assert up.process.wait(START_SECONDS) == 1

    assert "cannot listen on 127.0.0.1" in up.said
    assert "--port" in up.said
    assert "Traceback" not in up.said
    assert not (up.var / "broker").exists()
    assert not (up.var / "console.sqlite3").exists()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TIME_ZONE", "Mars/Base", "TIME_ZONE: 'Mars/Base' is not known"),
        ("BEAT_LEASE_SECONDS", "soon", "BEAT_LEASE_SECONDS: 'soon' is no number"),
        ("DATABASE_URL", "mysql://a/b", "DATABASE_URL: it is no address"),
    ],
)
def test_an_unusable_setting_is_one_sentence(start, variable, value, sentence):
    up = start(**{variable: value})

    assert up.process.wait(START_SECONDS) == 2
    assert sentence in up.said
    assert len(up.said.splitlines()) == 1


def test_a_broker_whose_files_are_damaged_is_one_sentence(start):
    first = start()
    wait_until(lambda: list(first.var.glob("broker/appendonlydir/*.manifest")), timeout=START_SECONDS)
    first.until_it_is_up().stop()
    for file in (first.var / "broker").rglob("*.aof"):
        file.write_bytes(b"rubbish" * 10)

    second = start()

    assert second.process.wait(START_SECONDS) == 1
    assert "delete that directory: nothing is lost" in second.said
    assert "Traceback" not in second.said
