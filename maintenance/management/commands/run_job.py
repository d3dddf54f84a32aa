"""`manage.py run_job SLUG`: run any job here, or leave it to the workers."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from maintenance.management.job_command import USAGE, JobCommand
from maintenance.registry import jobs


class Command(JobCommand):
    """Run the named job."""

    help = "Run a job here, or leave it to the workers with --queue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the slug and parameters."""
        parser.add_argument("job", metavar="SLUG", help=", ".join(job.slug for job in jobs()))
        parser.add_argument(
            "--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the job"
        )
        parser.add_argument("--queue", action="store_true", help="only request it; a worker performs it")
        parser.add_argument("--days", metavar="N", help="short for --param days=N")
        self.add_run_arguments(parser)

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters given as NAME=VALUE."""
        params = super().params(options)
        for pair in options["param"]:
            name, equals, value = pair.partition("=")
            if not (name and equals):
                raise CommandError(f"--param {pair}: write NAME=VALUE.", returncode=USAGE)
            params[name] = value
        return params

    def handle(self, *args: Any, **options: Any) -> None:
        """Request the run, and perform it here unless --queue."""
        if options["queue"] and options["check"]:
            text = "--check goes with a dry run here: what a queued one will show is not known yet."
            raise CommandError(text, returncode=USAGE)
        run = self.request(options["job"], options, send=options["queue"])
        if not options["queue"]:
            self.perform_here(run, as_json=options["json"])
        self.conclude(run, as_json=options["json"], check=options["check"])
