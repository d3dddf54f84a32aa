"""docker-compose.yml, Dockerfile, Makefile and the locks: against a schema, each other, and real processes."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from console.local import processes
from maintenance.ledger.requests import request_run
from maintenance.models import JobRun
from tests.kit import factories
from tests.kit.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("migrate", "web", "worker", "worker-scraping", "beat")
ENVIRONMENT = COMPOSE["x-console"]["environment"]
# Variables that the settings read, but that are only for one machine or for development.
# WORKER_ALIVE_FILE is only for the worker.
NOT_FOR_COMPOSE = {"DEBUG", "VAR_DIR", "READ_DOT_ENV", "CONN_MAX_AGE", "WORKER_ALIVE_FILE"}
DEADLINE_SECONDS = 60.0
COMMANDS = Path(sys.executable).parent


def interpolated(command: list[str]) -> list[str]:
    """Return a compose command with the defaults of its variables, as Compose fills them in."""
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", part).replace("$$", "$") for part in command]


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration[:-1])


# --- docker-compose.yml ------------------------------------------------------------------------


@pytest.mark.slow
def test_the_compose_file_is_what_the_compose_specification_allows():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            "docker-compose.yml",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_schema_check_can_fail(tmp_path):
    broken = COMPOSE | {"services": COMPOSE["services"] | {"web": {"comand": "gunicorn"}}}
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(broken))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
            str(tmp_path / "docker-compose.yml"),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("web", processes.web()),
        ("worker", processes.worker()),
        ("worker-scraping", processes.worker(queues=["scraping"], name="scraping")),
        ("beat", processes.beat()),
    ],
)
def test_compose_runs_the_commands_of_up(service, command):
    assert interpolated(COMPOSE["services"][service]["command"]) == command


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists(service):
    assert shutil.which(COMPOSE["services"][service]["command"][0], path=str(COMMANDS))


def test_the_image_serves_the_web_by_default():
    commands = re.findall(r"^CMD (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [yaml.safe_load(command) for command in commands] == [processes.web()]


@pytest.mark.parametrize(
    ("service", "grace_seconds"),
    [
        ("web", processes.WEB_GRACE_SECONDS),
        ("worker", processes.WORKER_GRACE_SECONDS),
        ("worker-scraping", processes.WORKER_GRACE_SECONDS),
        ("beat", processes.BEAT_GRACE_SECONDS),
    ],
)
def test_compose_waits_at_least_as_long_as_up_before_it_kills(service, grace_seconds):
    assert seconds(COMPOSE["services"][service]["stop_grace_period"]) >= grace_seconds


def test_two_schedulers_and_one_of_everything_else():
    replicas = {
        name: service.get("deploy", {}).get("replicas", 1) for name, service in COMPOSE["services"].items()
    }
    assert replicas.pop("worker-scraping") == 1
    assert COMPOSE["services"]["worker-scraping"]["profiles"] == ["apart"]
    assert replicas == {"migrate": 1, "web": 1, "worker": 1, "beat": 2, "postgres": 1, "redis": 1}


@pytest.mark.parametrize("service", ["web", "worker", "beat"])
def test_services_wait_for_their_servers_and_for_the_migration(service):
    assert COMPOSE["services"][service]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert "healthcheck" in COMPOSE["services"]["postgres"]
    assert "healthcheck" in COMPOSE["services"]["redis"]
    assert COMPOSE["services"]["migrate"]["restart"] == "no"


@pytest.mark.parametrize("service", OURS)
def test_our_containers_are_read_only_and_reap_their_children(service):
    ours = COMPOSE["services"][service]
    assert (ours["read_only"], ours["init"], ours["cap_drop"]) == (True, True, ["ALL"])


def test_what_the_servers_keep_is_in_volumes_and_no_server_is_published():
    for name, folder in (("postgres", "/var/lib/postgresql/data"), ("redis", "/data")):
        service = COMPOSE["services"][name]
        assert service["volumes"] == [f"{name}:{folder}"]
        assert name in COMPOSE["volumes"]
        assert "ports" not in service


def test_the_broker_keeps_its_messages_and_drops_none():
    command = " ".join(COMPOSE["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_ENCRYPTION_KEY", "POSTGRES_PASSWORD"])
def test_secrets_are_required_and_in_no_file(name):
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(rf"\$\{{{name}(.)", text)
    assert re.findall(rf"\$\{{{name}(?!:\?)", text) == []
    assert re.search(rf"^{name}=$", (ROOT / ".env.example").read_text(), re.MULTILINE)


def settings_text():
    return "\n".join(path.read_text() for path in (ROOT / "console/settings").glob("*.py"))


def test_every_setting_of_the_environment_reaches_the_containers():
    read = set(re.findall(r"\benv(?:\.\w+)?\(\s*\"(\w+)\"", settings_text()))
    assert {"SECRET_KEY", "DATABASE_URL", "BEAT_LEASE_SECONDS"} <= read
    assert read - NOT_FOR_COMPOSE - set(ENVIRONMENT) == set()


def test_what_every_process_needs_is_in_the_image():
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name, value in processes.ENVIRONMENT.items():
        assert f"{name}={value}" in dockerfile


def test_the_example_names_only_variables_that_something_reads():
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    read = settings_text() + (ROOT / "docker-compose.yml").read_text()
    assert {name for name in named if not re.search(rf"\b{name}\b", read)} == set()


# --- Dockerfile --------------------------------------------------------------------------------


def test_the_image_has_every_package_of_ours_and_neither_data_nor_secrets():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    packages = set(listed) - {"bench", "tests"}
    assert packages == {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests"}
    assert f"compileall -q {' '.join(sorted(packages))}" in (ROOT / "Dockerfile").read_text()
    locks = {f"requirements/{name}.txt" for name in ("base", "parquet", "tracing")}
    assert packages | locks | {"templates", "locale", "manage.py"} == let_in
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_the_image_runs_as_nobody_in_particular_and_installs_by_hash():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["console"]
    assert "--require-hashes" in dockerfile


# --- Locks and Makefile ------------------------------------------------------------------------


def pins(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def test_tests_run_on_the_very_versions_that_are_deployed():
    base, dev = pins("base"), pins("dev")
    assert len(base) > 20
    assert {name: dev.get(name) for name in base} == base


@pytest.mark.parametrize("name", ["base", "parquet", "tracing", "dev"])
def test_every_pin_has_a_hash_and_no_lock_names_an_index(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"https?://|--\S*index|--find-links|file:", "\n".join(blocks)) == []


@pytest.mark.parametrize("name", ["base", "parquet", "tracing", "dev"])
def test_each_requirement_says_why_it_is_there(name):
    lines = (ROOT / f"requirements/{name}.in").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r"))]
    assert [line for line in wanted if "# " not in line] == []


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_lists_its_targets_without_setting_anything_up(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.findall(r"^make ([\w-]+)", done.stdout, re.MULTILINE) == [
        "help", "run", "test", "test-fast", "soak", "chaos", "format", "lint", "audit", "bench", "requirements",
        "screenshots", "messages", "clean",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [tmp_path / "Makefile"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    ("interpreter", "remedy"),
    [
        ("exit 127", "Python 3.11 or newer is needed"),
        # New enough, but Debian has venv in a separate package.
        ('case "$2" in *venv*) exit 1;; esac', "apt-get install python3-venv"),
    ],
)
def test_make_says_what_is_missing(tmp_path, interpreter, remedy):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.txt").touch()
    (tmp_path / "bin").mkdir()
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{interpreter}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    done = subprocess.run(
        [shutil.which("make"), "run"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert remedy in done.stderr


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", "Dockerfile", "docker-compose.yml"])
def test_no_file_says_where_packages_come_from(name):
    text = (ROOT / name).read_text()
    assert re.findall(r"index-url|PIP_INDEX|find-links=|trusted-host|deb\.debian|pypi", text) == []


# --- The commands as real processes ------------------------------------------------------------


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
@pytest.mark.slow
def test_the_commands_of_compose_do_a_run_and_stop_in_time(tmp_path, free_port):
    environment = {
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
        "SECRET_KEY": "x" * 50,
        "FIELD_ENCRYPTION_KEY": "y" * 50,
        "DATABASE_URL": factories.database_url(),
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "VAR_DIR": str(tmp_path),
        "READ_DOT_ENV": "false",
    }
    (tmp_path / "static").mkdir()
    started: dict[str, subprocess.Popen[bytes]] = {}
    with contextlib.ExitStack() as stack:
        for name in ("worker", "web", "beat"):
            command = interpolated(COMPOSE["services"][name]["command"])
            command = [part.replace("0.0.0.0:8000", f"127.0.0.1:{free_port}") for part in command]
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            started[name] = stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            stack.callback(broken_off, started[name])

        def web_answers() -> bool:
            with contextlib.suppress(OSError):
                return (
                    urllib.request.urlopen(f"http://127.0.0.1:{free_port}/healthz", timeout=5).status == 200
                )
            return False

        wait_until(web_answers, timeout=DEADLINE_SECONDS)
        # Before that line, the interpreter has no handler for SIGTERM yet.
        ticks = "holds the lease"
        wait_until(lambda: ticks in (tmp_path / "beat.log").read_text(), timeout=DEADLINE_SECONDS)
        run = request_run(job="cleanup_tokens", trigger=JobRun.Trigger.COMMAND, by=None)
        wait_until(lambda: JobRun.objects.get(pk=run.pk).is_final, timeout=DEADLINE_SECONDS)
        run.refresh_from_db()
        assert (run.status, run.error) == ("succeeded", ""), run.traceback

        for name in ("beat", "web", "worker"):
            started[name].send_signal(signal.SIGTERM)
            grace = seconds(COMPOSE["services"][name]["stop_grace_period"])
            assert started[name].wait(grace) == 0, (tmp_path / f"{name}.log").read_text()


def broken_off(process: subprocess.Popen[bytes]) -> None:
    """End the process that a failed test left running."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
