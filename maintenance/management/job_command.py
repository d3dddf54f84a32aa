"""The command of every job: parses, requests a run, performs it here, prints how it ended."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from audit.commands import RecordedCommand
from maintenance.ledger import decisions, requests, run_json
from maintenance.management.foreground import perform_in_foreground
from maintenance.management.run_report import print_run
from maintenance.models import JobRun
from maintenance.registry import JobsPaused, UnknownJob, get_job

# The contract: 0 succeeded, 1 failed or partial, 2 wrong usage, 3 blocked, 4 skipped.
EXIT_CODES = {
    JobRun.Status.SUCCEEDED: 0,
    JobRun.Status.QUEUED: 0,
    JobRun.Status.BLOCKED: 3,
    JobRun.Status.SKIPPED: 4,
}
USAGE = 2


class JobCommand(RecordedCommand):
    """A command that runs one job; subclasses only name the job."""

    job: str
    requires_migrations_checks = True

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Describe the command by the first line of the job's docstring."""
        if not self.help:
            self.help = get_job(self.job).english_summary
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Offer ``--dry-run``, ``--json``, and ``--days`` where the job has a retention."""
        self.add_run_arguments(parser)
        if get_job(self.job).retention_days is not None:
            parser.add_argument("--days", metavar="N", help="keep this many days instead of the retention")

    @staticmethod
    def add_run_arguments(parser: ArgumentParser) -> None:
        """Offer ``--dry-run`` with ``--check``, ``--json``, ``--plan``, and ``--force`` with ``--reason``."""
        parser.add_argument("--dry-run", action="store_true", help="show what would be done, do nothing")
        parser.add_argument(
            "--check",
            action="store_true",
            help="with --dry-run: exit 3 if the real run would wait for approval",
        )
        parser.add_argument("--json", action="store_true", help="print the run as one JSON object")
        parser.add_argument(
            "--plan",
            metavar="RUN",
            help="do what this dry run showed, and report how the data has changed since",
        )
        parser.add_argument(
            "--force", action="store_true", help="do not stop at the safety cap; needs --reason"
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="why --force")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the job's parameters from the command line."""
        return {"days": options["days"]} if options.get("days") is not None else {}

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the job in this process; exit with the contract's code."""
        run = self.request(self.job, options)
        self.perform_here(run, as_json=options["json"])
        self.conclude(run, as_json=options["json"], check=options["check"])

    def request(self, job: str, options: dict[str, Any], *, send: bool = False) -> JobRun:
        """Request the run; invalid parameters end the command with exit code 2."""
        if options["force"] != bool(options["reason"].strip()):
            raise CommandError(
                "--force needs --reason TEXT, and --reason goes with --force.", returncode=USAGE
            )
        if options["check"] and not options["dry_run"]:
            raise CommandError("--check goes with --dry-run.", returncode=USAGE)
        params, shown = self.params(options), None
        try:
            if options["plan"] is not None:
                shown = decisions.shown_by_run(options["plan"], job=job, params=params)
            return requests.request_run(
                job=job,
                trigger=JobRun.Trigger.COMMAND,
                dry_run=options["dry_run"],
                params=params,
                shown=shown,
                force_reason=options["reason"].strip(),
                send=send,
            )
        except UnknownJob as error:
            raise CommandError(str(error), returncode=USAGE) from None
        except JobsPaused as error:
            raise CommandError(error.text, returncode=EXIT_CODES[JobRun.Status.SKIPPED]) from None
        except ValidationError as error:
            text = "\n".join(f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items())
            raise CommandError(text, returncode=USAGE) from None

    def perform_here(self, run: JobRun, *, as_json: bool) -> None:
        """Do the run's work in this process, with a progress bar on a terminal."""
        perform_in_foreground(
            run,
            show_bar=not as_json and sys.stderr.isatty(),
            conclude=lambda: self.conclude(run, as_json=as_json),
        )

    def conclude(self, run: JobRun, *, as_json: bool, check: bool = False) -> None:
        """Print how the run ended, and exit with its code."""
        run.refresh_from_db()
        if as_json:
            self.stdout.write(json.dumps(run_json.as_json(run), ensure_ascii=False))
        else:
            print_run(self, run)
        code = EXIT_CODES.get(JobRun.Status(run.status), 1)
        if check and run_json.would_do(run) == "block":
            code = EXIT_CODES[JobRun.Status.BLOCKED]
        if code:
            raise SystemExit(code)
