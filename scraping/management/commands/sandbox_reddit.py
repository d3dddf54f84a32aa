"""``manage.py sandbox_reddit``: run the synthetic Reddit in the foreground."""

import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from scraping.sandbox import SandboxReddit


def port_number(value: str) -> int:
    """Return a port number, or raise an error that says what is valid."""
    if not value.isdecimal() or int(value) > 65_535:
        raise ArgumentTypeError(f"{value!r} is not a port: a number from 0 (any free one) to 65535.")
    return int(value)


def milliseconds(value: str) -> int:
    """Return a duration, or raise an error that says what is valid."""
    if not value.isdecimal():
        raise ArgumentTypeError(f"{value!r} is not a number of milliseconds.")
    return int(value)


class Command(BaseCommand):
    """Start the sandbox, print its address, wait for a signal."""

    help = "Runs a small synthetic Reddit, for trying the console without Reddit keys."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--port", type=port_number, required=True, help="port to listen on; 0: any free one"
        )
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="each seed makes another Reddit (default 1)")
        parser.add_argument(
            "--latency",
            type=milliseconds,
            default=0,
            metavar="MS",
            help="delay of each answer in milliseconds",
        )

    def handle(self, *, port: int, host: str, seed: int, latency: int, **options: Any) -> None:
        """Run until SIGTERM or Ctrl-C.

        Raises:
            CommandError: it cannot listen on the port (exit code 2).
        """
        sandbox = SandboxReddit(
            port=port,
            host=host,
            seed=seed,
            latency=latency / 1000,
            # Without this a restart would forget these names, and all their stored posts would seem to be gone.
            journal=settings.VAR_DIR / f"sandbox_reddit_{seed}.jsonl",
        )
        stop = threading.Event()
        handlers = {
            number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            sandbox.start()
            self.stdout.write(f"The sandbox Reddit answers at {sandbox.url}")
            self.stdout.flush()
            stop.wait()
        except OSError as error:
            raise CommandError(
                f"The sandbox Reddit cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host.",
                returncode=2,
            ) from error
        finally:
            sandbox.stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)
