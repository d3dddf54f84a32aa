"""Real worker and beat processes on the test database and broker."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

from console.local import processes
from tests.kit import factories
from tests.kit.waiting import wait_until

BIN = Path(sys.executable).parent


class Service:
    """One service in a separate process; leaving the block kills all processes that are left of it."""

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

    def __exit__(self, kind, *_):
        self.kill()
        if kind:  # print its output together with the failure
            sys.stderr.write(f"--- {self.process.args!r}\n{self.output}\n")
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
        """Kill the process and all its children with SIGKILL."""
        family: list[Any] = [self.process]
        with contextlib.suppress(psutil.NoSuchProcess):
            family += psutil.Process(self.process.pid).children(recursive=True)
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
        self.process.wait(10)


# Knows the jobs of ``misbehaving`` too.
MISBEHAVING = "tests.chaos.misbehaving"


def _of_app(command, app):
    """Return the command with another Celery application."""
    return [app if word == "console" else word for word in command]


def worker_service(hostname="worker", include=None, app="console", **environment):
    """``include``: a module that the worker imports."""
    command = [word.replace("worker@", f"{hostname}@") for word in processes.worker(concurrency=2)]
    return Service([*_of_app(command, app), *(["--include", include] if include else [])], **environment)


def worker(hostname="worker", include=None, app="console", **environment):
    service = worker_service(hostname, include, app, **environment)
    service.wait_for(" ready.")
    return service


@contextlib.contextmanager
def misbehaving_worker(concurrency=1):
    """Start a worker that has the jobs of ``misbehaving``."""
    with Service(_of_app(processes.worker(concurrency=concurrency), MISBEHAVING)) as service:
        service.wait_for(" ready.")
        yield service


@contextlib.contextmanager
def supervised_worker(**environment):
    """A worker that is restarted when it ends, as by `up`, docker and systemd.

    kombu's Redis transport ends it when the connection breaks while a message is not acknowledged.
    """
    services = [worker(**environment)]
    over = threading.Event()

    def supervise():
        while not over.wait(0.5):
            if services[-1].process.poll() is not None:
                services.append(worker_service(**environment))

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    try:
        yield
    finally:
        over.set()
        supervisor.join()
        for service in services:
            service.kill()


def beat(app="console", **environment):
    service = Service(_of_app(processes.beat(), app), **environment)
    service.wait_for("on demand")
    return service
