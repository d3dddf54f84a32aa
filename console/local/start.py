"""Starts the whole console on this machine step by step, until its pages answer."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection

from console.local import broker, processes, sandbox_beside
from console.local.addresses import (
    LOOPBACK,
    accepts_connections,
    bracketed,
    reachable,
    refuse_taken_port,
    sandbox_port,
    serves_requests,
)
from console.local.administrator import administrator, first_password
from console.local.child_process import Service
from console.local.errors import ServiceFailed, StartFailed, StopRequested, SupervisorError
from console.local.supervisor import Supervisor
from database import clock
from maintenance.ledger.requests import request_run
from maintenance.models import JobRun, WorkerProcess
from maintenance.registry import jobs
from scraping.demo import create_demo
from scraping.models import SANDBOX_CLIENT_ID
from scraping.sandbox import CLIENT_SECRET

DATABASE_WAIT_SECONDS = 30.0
READY_WAIT_SECONDS = 90.0


def run_console(*, host: str, port: int, workers: int) -> None:
    """Start everything in order and keep it running until a stop signal.

    Raises:
        SupervisorError: it cannot start, or a service does not stay up.
        CommandError: a management command that a step calls failed.
    """
    refuse_taken_port(host, port)
    os.umask(0o077)  # only their owner may read the database and the messages
    supervisor = Supervisor(
        directory=settings.VAR_DIR / "run",
        cwd=settings.BASE_DIR,
        environment=service_environment(),
        output=sys.stdout.buffer,
        names=["broker", "sandbox", "worker", "web", "beat"],
    )
    with contextlib.suppress(StopRequested), supervisor, contextlib.ExitStack() as stack:
        Start(supervisor, stack=stack, host=host, port=port, workers=workers).run()
        supervisor.run()
    supervisor.say("Everything has stopped")


class Start:
    """The steps that start a console."""

    def __init__(
        self, supervisor: Supervisor, *, stack: contextlib.ExitStack, host: str, port: int, workers: int
    ) -> None:
        self.supervisor = supervisor
        # Contexts that stay open until everything stops.
        self.stack = stack
        self.host, self.port, self.workers = host, port, workers
        self.uses_sandbox = not settings.HAS_OWN_REDDIT_APP
        self.sandbox_environment: dict[str, str] = {}

    def run(self) -> None:
        """Do all steps and print the console's address.

        Raises:
            SupervisorError: a step failed, or a service does not start.
            CommandError: a management command that a step calls failed.
            StopRequested: a stop signal came.
        """
        if settings.USES_PRIVATE_BROKER:
            self.start_broker()
        self.prepare_database()
        with self.step("Collecting static files"):
            call_command("collectstatic", interactive=False, verbosity=0)
        with self.step("Looking for the administrator"):
            owner = administrator()
        if self.uses_sandbox:
            self.start_sandbox(owner)
        self.start_services()
        self.announce(owner, first_password(owner))

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print the step's title; turn every error in it into one sentence."""
        self.supervisor.say(title)
        try:
            yield
        except (SupervisorError, CommandError):
            raise
        except Exception as error:
            raise StartFailed(f"{title} failed: {type(error).__name__}: {error}") from error

    def start_broker(self) -> None:
        """Start the private broker and wait until it has loaded its messages."""
        with self.step("Starting the private broker"):
            directory, address = settings.VAR_DIR / "broker", settings.PRIVATE_BROKER_SOCKET
            try:
                server = broker.find_server()
            except broker.BrokerError as error:
                raise StartFailed(str(error)) from error
            command = broker.broker_command(server=server, socket=address, directory=directory)
            try:
                self.supervisor.start(
                    Service("broker", command, grace_seconds=10, inherits=processes.BARE_ENVIRONMENT)
                )
                self.supervisor.wait_until(
                    lambda: self.supervisor.never_died("broker") and broker.broker_answers(address),
                    seconds=READY_WAIT_SECONDS,
                    otherwise="The broker does not answer.",
                )
            except ServiceFailed as error:
                last_line = self.supervisor.last_line("broker")
                raise StartFailed(broker.explain_failure(directory=directory, last_line=last_line)) from error

    def prepare_database(self) -> None:
        """Wait for the database server, then bring its tables up to date."""
        last_error: list[str] = []

        def answers() -> bool:
            try:
                connection.ensure_connection()
            except OperationalError as error:
                if not last_error:
                    self.supervisor.say(f"Waiting for the database: {one_line(error)}")
                last_error[:] = [one_line(error)]
                return False
            return True

        try:
            self.supervisor.wait_until(answers, seconds=DATABASE_WAIT_SECONDS, otherwise="")
        except ServiceFailed as error:
            if not last_error:
                raise
            raise StartFailed(
                f"The database of DATABASE_URL does not answer within {DATABASE_WAIT_SECONDS:g} s: {last_error[0]}"
            ) from error
        with self.step("Bringing the database up to date"):
            call_command("migrate", interactive=False, verbosity=0)

    def start_sandbox(self, owner: User) -> None:
        """Start the synthetic Reddit; on the very first start, create bots that scrape it."""
        with self.step("Starting the sandbox Reddit"):
            port = sandbox_port(settings.VAR_DIR / "sandbox_port")
            address = f"http://{LOOPBACK}:{port}"
            self.sandbox_environment = {
                "REDDIT_CLIENT_ID": SANDBOX_CLIENT_ID,
                "REDDIT_CLIENT_SECRET": CLIENT_SECRET,
                "REDDIT_USER_AGENT": "linux:maintenance-console:0.1 (by /u/sandbox)",
                "REDDIT_URL": address,
                "REDDIT_OAUTH_URL": address,
            }
            self.supervisor.start(
                Service(
                    "sandbox",
                    processes.sandbox(port=port),
                    grace_seconds=5,
                    environment=processes.sandbox_environment(var_dir=settings.VAR_DIR),
                    inherits=processes.BARE_ENVIRONMENT,
                )
            )
            self.supervisor.wait_until(
                lambda: accepts_connections(port),
                seconds=READY_WAIT_SECONDS,
                otherwise="The sandbox Reddit does not answer.",
            )
            self.stack.enter_context(sandbox_beside.written_down(settings.VAR_DIR, self.sandbox_environment))
            if is_first_start():
                create_demo(owner=owner)

    def start_services(self) -> None:
        """Start worker, web and scheduler, and wait until worker and web answer."""
        with self.step("Starting worker, web server and scheduler"):
            since = clock.database_now()
            worker = processes.worker(concurrency=self.workers)
            web = processes.web(host=self.host, port=self.port)
            alive_file = settings.VAR_DIR / "run" / "worker.alive"
            for service in (
                Service("worker", worker, processes.WORKER_GRACE_SECONDS, alive_file=alive_file),
                Service("web", web, processes.WEB_GRACE_SECONDS),
                Service("beat", processes.beat(), processes.BEAT_GRACE_SECONDS),
            ):
                environment = {**self.sandbox_environment}
                if service.alive_file is not None:
                    environment["WORKER_ALIVE_FILE"] = str(service.alive_file)
                self.supervisor.start(replace(service, environment=environment))
            self.supervisor.wait_until(
                lambda: serves_requests(reachable(self.host), self.port),
                seconds=READY_WAIT_SECONDS,
                otherwise="The web server does not answer.",
            )
            self.supervisor.wait_until(
                lambda: a_worker_listens(since),
                seconds=READY_WAIT_SECONDS,
                otherwise="The worker does not answer.",
            )
            # Only the sandbox is scraped at once; the real Reddit is scraped by the schedule.
            if self.uses_sandbox and is_first_start():
                for slug in jobs_of_first_start():
                    request_run(job=slug, trigger=JobRun.Trigger.COMMAND, by=None)

    def announce(self, owner: User, password: str | None) -> None:
        """Print the console's address and how to sign in."""
        rows = [
            ("Console", f"http://{bracketed(reachable(self.host))}:{self.port}/"),
            ("User", owner.get_username()),
        ]
        if password:
            rows.append(
                ("Password", f"{password}   (shown only now; change it under /admin/password_change/)")
            )
        if self.uses_sandbox:
            rows.append(
                ("Reddit", "sandbox: synthetic content, made here; set REDDIT_CLIENT_ID for the real one")
            )
        rows.append(("Data", str(settings.VAR_DIR)))
        self.supervisor.say("")
        for title, value in rows:
            self.supervisor.say(f"  {title:<9} {value}")
        self.supervisor.say("")
        self.supervisor.say("  Ctrl-C stops everything.")
        self.supervisor.say("")


def service_environment() -> Mapping[str, str]:
    """Return the environment of the services: ours, their own variables, this interpreter's directory first on PATH."""
    commands = Path(sys.executable).parent
    path = os.pathsep.join([str(commands), os.environ.get("PATH", os.defpath)])
    # People read what `up` prints, also through a pipe.
    return {"LOG_FORMAT": "text", **os.environ, **processes.ENVIRONMENT, "PATH": path}


def jobs_of_first_start() -> list[str]:
    """Return the jobs that a first start requests at once."""
    return [job.slug for job in jobs() if job.runs_at_first_start]


def is_first_start() -> bool:
    """Return whether the ledger has no run of a job of the first start, so nothing was ever scraped here."""
    return not JobRun.objects.filter(job__in=jobs_of_first_start()).exists()


def a_worker_listens(since: datetime) -> bool:
    """Return whether a worker that started since then has reported in the database that it takes messages."""
    return WorkerProcess.objects.filter(started_at__gte=since, listening_at__isnull=False).exists()


def one_line(error: Exception) -> str:
    """Return the message of an error without line breaks."""
    return " ".join(str(error).split())
