"""The walk of docs/api.md, executed with curl against a real server."""

import json
import os
import re
import shutil
import subprocess
import threading

import pytest
from django.conf import settings
from django.db import connection

from maintenance.ledger import performing
from maintenance.models import JobRun
from maintenance.scheduling import hooks
from maintenance.scheduling.schedules import crontab_of
from tests.api.calls import PASSWORD
from tests.kit import factories
from tests.kit.steps import with_password

GUIDE = settings.BASE_DIR / "docs" / "api.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def worker():
    """Perform queued runs in a thread, as a worker does."""
    over = threading.Event()

    def work():
        while not over.wait(0.2):
            for run in JobRun.objects.queued():
                performing.perform(run)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.django_db(transaction=True)
def test_the_walk_of_the_guide_works_against_a_real_server(live_server, worker):
    user = with_password(factories.superuser(), PASSWORD)
    task, bot = factories.schedule(crontab="0 3 * * *"), factories.bot_config(owner=user)
    hook, secret = hooks.open_hook(factories.schedule(task="maintenance.cleanup_tokens"), by=user)
    names = {
        "CONSOLE": live_server.url, "CONSOLE_USER": user.username, "CONSOLE_PASSWORD": PASSWORD,
        "SCHEDULE": str(task.pk), "BOT": str(bot.pk), "HOOK": str(hook.public_id), "HOOK_SECRET": secret,
    }  # fmt: skip

    blocks = BLOCK.findall(GUIDE.read_text())
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\necho; echo ----\n".join(blocks)],
        env={**os.environ, **names, "NO_PROXY": "*"}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip

    assert told.returncode == 0, told.stderr
    answers = [part.strip() for part in told.stdout.split("----")]
    task.refresh_from_db()
    assert str(crontab_of(task)) == "15 4 * * *"
    scraped = json.loads(answers[3])
    assert set(scraped) == {"session_id", "status", "message", "total_posts", "total_comments"}
    assert json.loads(answers[-1]) == {"all": False}
