"""`manage.py` itself: it finds the project's virtual environment, or says how to create one."""

import shutil
import subprocess
import sys

import django
import pytest
from django.conf import settings
from django.core import management
from django.db import Error, IntegrityError, OperationalError, connection

import manage
from console import command_line


@pytest.mark.slow
def test_manage_py_runs_in_the_projects_own_environment():
    """Run `./manage.py` with an interpreter that has no Django."""
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "remedy"),
    [
        ("postgres://nobody@127.0.0.1:1/console", "See that it runs and that DATABASE_URL names it"),
        ("sqlite:///{folder}/empty.sqlite3", "run manage.py migrate"),
    ],
)
def test_a_command_without_its_database_says_what_to_do(database, remedy, tmp_path):
    environment = {
        "PATH": "/usr/bin:/bin", "READ_DOT_ENV": "false", "VAR_DIR": str(tmp_path), "SECRET_KEY": "s" * 40,
        "FIELD_ENCRYPTION_KEY": "f" * 40, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "DATABASE_URL": database.format(folder=tmp_path),
    }  # fmt: skip
    command = [sys.executable, "manage.py", "seed_schedules"]

    done = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True)

    assert done.returncode == 1
    assert remedy in done.stderr.splitlines()[-1]
    assert "No event could be stored: command.ran seed_schedules" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_of_a_migration_is_not_called_a_missing_one(monkeypatch):
    monkeypatch.setattr(command_line, "missing_migrations", lambda: 3)
    missing, broken = OperationalError("no such table: x"), IntegrityError("UNIQUE constraint failed: x.y")

    assert "x The database lacks 3 migrations" in command_line.in_words(missing, "seed_schedules").replace(
        ".", ""
    )
    assert command_line.in_words(missing, "migrate") is None
    assert command_line.in_words(broken, "seed_schedules") is None


@pytest.mark.django_db
def test_a_fault_of_the_program_is_no_matter_of_the_database(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["manage.py", "seed_schedules"])
    monkeypatch.setattr(management, "execute_from_command_line", _misspelt)

    with pytest.raises(Error, match="no_such_table"):
        manage.main()


def _misspelt(_arguments):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM no_such_table")
