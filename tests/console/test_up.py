"""The steps of `up`; the whole of it, with real processes, is in tests/chaos."""

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
from datetime import timedelta

import django
import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError
from django.utils import timezone

from console.local import sandbox_beside
from console.local.supervisor import Supervisor
from console.management.commands import up
from maintenance.models import JobRun


@pytest.fixture
def steps(tmp_path):
    output = io.BytesIO()
    supervisor = Supervisor(directory=tmp_path / "run", cwd=tmp_path, environment=os.environ, output=output)
    with supervisor, contextlib.ExitStack() as stack:
        start = up.Start(supervisor, stack=stack, host="127.0.0.1", port=8000, workers=1)
        start.output = output
        yield start


# --- The administrator -------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_a_superuser_admin_is_made_and_gets_its_password_at_the_end():
    User.objects.create_user("someone", password="staff only", is_staff=True)

    owner = up.administrator()
    assert (owner.username, owner.is_superuser, owner.has_usable_password()) == ("admin", True, False)
    password = up.first_password(up.administrator())

    assert len(password) == 20
    assert authenticate(username="admin", password=password) == owner


@pytest.mark.django_db
def test_a_password_is_given_once():
    assert up.first_password(up.administrator())
    assert up.first_password(up.administrator()) is None


@pytest.mark.django_db
def test_an_existing_superuser_stays_as_it_is():
    own = User.objects.create_superuser("operator", password="its own")

    assert up.administrator() == own
    assert up.first_password(own) is None
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_a_superuser_who_signs_in_some_other_way_gets_no_password():
    User.objects.create_superuser("admin", last_login=timezone.now() - timedelta(days=1))

    assert up.first_password(up.administrator()) is None


@pytest.mark.django_db
def test_a_plain_user_called_admin_is_not_promoted():
    User.objects.create_user("admin")

    with pytest.raises(CommandError, match="createsuperuser"):
        up.administrator()

    assert not User.objects.get().is_superuser


@pytest.mark.django_db
def test_the_first_start_is_the_one_without_a_scrape():
    JobRun.objects.create(job="cleanup_tokens", trigger="command")
    assert up.is_first_start()

    JobRun.objects.create(job="auto_scraping", trigger="schedule")
    assert not up.is_first_start()


# --- Ports and addresses -----------------------------------------------------------------------


def test_the_sandbox_keeps_its_port(tmp_path):
    first = up.sandbox_port(tmp_path / "port")

    assert up.sandbox_port(tmp_path / "port") == first


@pytest.mark.parametrize("text", ["", "no number", "99999999"])
def test_a_spoilt_memory_of_the_port_is_written_anew(tmp_path, text):
    (tmp_path / "port").write_text(text)

    assert (tmp_path / "port").read_text() != str(up.sandbox_port(tmp_path / "port"))
    assert up.sandbox_port(tmp_path / "port") == int((tmp_path / "port").read_text())


def test_a_sandbox_port_that_is_taken_meanwhile_is_replaced(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "port").write_text(str(port))

        assert up.sandbox_port(tmp_path / "port") != port


@pytest.mark.parametrize(
    "arguments", [["--port", "70000"], ["--port", "-1"], ["--host", "256.0.0.1"], ["--workers", "0"]]
)
def test_arguments_that_cannot_be_used_are_one_sentence(arguments):
    with pytest.raises(CommandError):
        call_command("up", *arguments)


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
def test_the_address_that_is_shown_can_be_opened(host, address):
    assert up.bracketed(up.reachable(host)) == address


# --- The database ------------------------------------------------------------------------------


def test_a_database_that_stays_away_is_one_sentence(steps, monkeypatch):
    def away() -> None:
        raise OperationalError("connection refused\n\tIs the server running?\n")

    monkeypatch.setattr(up, "DATABASE_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(up.connection, "ensure_connection", away)

    with pytest.raises(
        CommandError, match=r"does not answer within 0.3 s: connection refused Is the server running\?"
    ):
        steps.prepare_database()

    assert steps.output.getvalue().count(b"Waiting for the database") == 1


def test_a_database_that_comes_late_is_waited_for(steps, monkeypatch):
    tries = iter([OperationalError("starting up"), OperationalError("starting up"), None])
    migrated = []

    def sometimes() -> None:
        if (error := next(tries)) is not None:
            raise error

    monkeypatch.setattr(up.connection, "ensure_connection", sometimes)
    monkeypatch.setattr(up, "call_command", lambda name, **options: migrated.append(name))

    steps.prepare_database()

    assert migrated == ["migrate"]


def test_a_failing_step_is_named_in_one_sentence(steps):
    with (
        pytest.raises(CommandError, match="Baking bread failed: ValueError: no flour"),
        steps.step("Baking bread"),
    ):
        raise ValueError("no flour")


# --- Beside a shell ----------------------------------------------------------------------------


def settings_in_a_shell(directory, **environment):
    """What the settings of a command in a shell say of Reddit."""
    code = "from console import settings as s; print(s.REDDIT_CLIENT_ID, s.REDDIT_URL, s.HAS_OWN_REDDIT_APP)"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REDDIT_")}
    clean |= {"VAR_DIR": str(directory), "READ_DOT_ENV": "false", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_command_in_a_shell_finds_the_sandbox_while_it_runs(tmp_path):
    address = {"REDDIT_CLIENT_ID": "sandbox", "REDDIT_URL": "http://127.0.0.1:8700"}

    with sandbox_beside.written_down(tmp_path, address):
        assert settings_in_a_shell(tmp_path) == ["sandbox", "http://127.0.0.1:8700", "False"]
        own = settings_in_a_shell(tmp_path, REDDIT_CLIENT_ID="mine", REDDIT_CLIENT_SECRET="own")
        assert own == ["mine", "https://www.reddit.com", "True"]
    assert settings_in_a_shell(tmp_path) == ["https://www.reddit.com", "False"]


@pytest.mark.parametrize("rubbish", ["", "{", "[]", "null", "\0"])
def test_rubbish_in_the_sandboxs_file_is_no_sandbox(tmp_path, rubbish):
    (tmp_path / sandbox_beside.FILE).write_text(rubbish)

    assert sandbox_beside.variables(tmp_path) == {}


def test_loopback_goes_through_no_proxy(live_server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert up.serves_requests("127.0.0.1", int(live_server.url.rpartition(":")[2]))


def test_manage_py_runs_in_the_projects_own_environment():
    """`./manage.py` with an interpreter that has no Django."""
    bare = {"PATH": "/usr/bin:/bin", "VAR_DIR": str(settings.VAR_DIR), "READ_DOT_ENV": "false"}
    command = [sys.executable, "-S", "-E", "manage.py", "version"]

    done = subprocess.run(command, env=bare, cwd=settings.BASE_DIR, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == django.get_version()


def test_manage_py_without_any_environment_says_how_to_make_one(tmp_path):
    shutil.copy(settings.BASE_DIR / "manage.py", tmp_path)

    done = subprocess.run([sys.executable, "-S", "manage.py"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert "make run" in done.stderr
    assert "Traceback" not in done.stderr
