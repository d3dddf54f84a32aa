"""Real worker and beat processes on the test database and broker."""

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil
from django.conf import settings

from console import processes
from tests import factories
from tests.waiting import wait_until

BIN = Path(os.sys.executable).parent


class Service:
    """One service as a process of its own; leaving the block kills whatever is left of it."""

    def __init__(self, command, **environment):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115  # lives as long as the process
        self.process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                **processes.ENVIRONMENT,
                "DATABASE_URL": factories.database_url(),
                "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
                **environment,
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()

    @property
    def output(self):
        return Path(self.log.name).read_text()

    def wait_for(self, text, timeout=40):
        wait_until(lambda: text in self.output or self.process.poll() is not None, timeout=timeout)
        assert text in self.output, self.output

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9 of the process and all its children."""
        family = [self.process]
        with contextlib.suppress(psutil.NoSuchProcess):
            family += psutil.Process(self.process.pid).children(recursive=True)
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
        self.process.wait(10)


def worker(**environment):
    service = Service(processes.worker(concurrency=2), **environment)
    service.wait_for(" ready.")
    return service


def beat(**environment):
    service = Service(processes.beat(), **environment)
    service.wait_for("on demand")
    return service
