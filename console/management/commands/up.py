"""``manage.py up``: run the whole console on this machine."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.commands import acting_as_shell
from console.local.addresses import LOOPBACK
from console.local.errors import SupervisorError
from console.local.start import run_console


class Command(BaseCommand):
    """Parse, start everything in order, watch it until Ctrl-C."""

    help = "Runs the whole console on this machine: broker, sandbox Reddit, web, worker and scheduler."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--host", default=LOOPBACK, help="address the web server listens on (default %(default)s)"
        )
        parser.add_argument("--port", type=int, default=8000, help="its port (default %(default)s)")
        parser.add_argument(
            "--workers", type=int, default=4, help="jobs that run at once (default %(default)s)"
        )

    def handle(self, *, host: str, port: int, workers: int, **options: Any) -> None:
        """Run until a stop signal; every failure ends in one sentence and exit code 1."""
        if workers < 1:
            raise CommandError("--workers must be at least 1.", returncode=2)
        if not 1 <= port <= 65_535:  # getaddrinfo() would use it modulo 65,536
            raise CommandError("--port must be between 1 and 65535.", returncode=2)
        try:
            with acting_as_shell():
                run_console(host=host, port=port, workers=workers)
        except SupervisorError as error:
            raise CommandError(str(error)) from error
