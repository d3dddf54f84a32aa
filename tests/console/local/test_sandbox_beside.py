"""A command in another shell scrapes the sandbox that `up` started."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from console.local import sandbox_beside


def settings_in_a_shell(directory, **environment):
    """Return the settings for Reddit of a command in a shell."""
    code = "from console import settings as s; print(s.REDDIT_CLIENT_ID, s.REDDIT_URL, s.HAS_OWN_REDDIT_APP)"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REDDIT_")}
    clean |= {"VAR_DIR": str(directory), "READ_DOT_ENV": "false", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
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
