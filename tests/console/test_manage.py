"""`manage.py` itself: it finds the project's virtual environment, or says how to create one."""

import shutil
import subprocess
import sys

import django
import pytest
from django.conf import settings


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
