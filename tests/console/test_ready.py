"""A web server's process is ready before its first request."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

PROGRAM = "import gc, sys; import console.wsgi; print('maintenance.admin.runs' in sys.modules, gc.get_freeze_count() > 100_000)"


@pytest.mark.slow
def test_the_pages_are_loaded_and_left_alone_by_the_garbage_collector_even_without_a_database():
    environment = {
        **os.environ,
        "READ_DOT_ENV": "false",
        "VAR_DIR": str(settings.VAR_DIR),
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True"], done.stderr
