"""What every job's command does: parse, request a run, perform it here, print how it ended."""

import json
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat
from tqdm import tqdm

from database.messages import gettext as _
from maintenance.ledger import decisions, requests
from maintenance.models import JobRun
from maintenance.purging.plan import TablePlan, differences
from maintenance.registry import UnknownJob, get_job

# The contract: 0 succeeded, 1 failed or partial, 2 wrong usage, 3 blocked, 4 skipped.
EXIT_CODES = {
    JobRun.Status.SUCCEEDED: 0,
    JobRun.Status.QUEUED: 0,
    JobRun.Status.BLOCKED: 3,
    JobRun.Status.SKIPPED: 4,
}
USAGE = 2


class JobCommand(BaseCommand):
    """A command that runs one job; a subclass only names it."""

    job: str
    requires_migrations_checks = True

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Describe the command by the job's own first line."""
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
            "--plan", metavar="RUN", help="do what this dry run showed, and say how the world has moved since"
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
        """Request the run; what cannot be used ends the command with exit code 2."""
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
        except ValidationError as error:
            text = "; ".join(f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items())
            raise CommandError(text, returncode=USAGE) from None

    def perform_here(self, run: JobRun, *, as_json: bool) -> None:
        """Do the run's work in this process, with a progress bar on a terminal."""
        stopped = threading.Event()
        show_bar = not as_json and sys.stderr.isatty()
        bar = tqdm(unit="", file=sys.stderr, leave=False) if show_bar else None

        def listen(done: int, total: int | None, stage: str) -> None:
            if bar is not None:
                bar.total = total
                bar.set_description_str(stage, refresh=False)
                bar.update(done - bar.n)

        def leave() -> None:
            """End this process from beside a job that hangs, as it would end by itself."""
            try:
                self.conclude(run, as_json=as_json)
            except SystemExit as ended:
                sys.stdout.flush()
                os._exit(int(ended.code or 0))
            os._exit(1)

        with _signals(run, stopped):
            try:
                done = requests.perform(run, stopping=stopped.is_set, listener=listen, kill=leave)
                if not done:
                    run.skip_queued(message=_("Another run of %(job)s is not finished.") % {"job": run.job})
            except (Exception, KeyboardInterrupt) as failure:
                run.refresh_from_db()
                if not run.is_final:  # it could not even be recorded
                    raise CommandError(
                        f"{type(failure).__name__}: {failure}. A worker takes it up."
                    ) from failure
            finally:
                if bar is not None:
                    bar.close()

    def conclude(self, run: JobRun, *, as_json: bool, check: bool = False) -> None:
        """Print how the run ended, and exit with its code."""
        run.refresh_from_db()
        if as_json:
            self.stdout.write(json.dumps(requests.as_json(run), ensure_ascii=False))
        else:
            self._print(run)
        code = EXIT_CODES.get(JobRun.Status(run.status), 1)
        if check and requests.would_do(run) == "block":
            code = EXIT_CODES[JobRun.Status.BLOCKED]
        if code:
            raise SystemExit(code)

    def _print(self, run: JobRun) -> None:
        good = run.status in (JobRun.Status.SUCCEEDED, JobRun.Status.QUEUED)
        style = self.style.SUCCESS if good else self.style.WARNING
        dry = " (dry run)" if run.dry_run else ""
        self.stdout.write(style(f"{run.job} #{run.pk}{dry}: {run.get_status_display()}"))
        for name, number in run.counts.items():
            self.stdout.write(f"  {name}: {number}")
        if run.retry_of_id:
            for name, number in requests.totals(run).items():
                self.stdout.write(f"  {name} in all attempts: {number}")
        if run.dry_run or run.status == JobRun.Status.BLOCKED:
            self._print_plan(run)
        if run.message:
            self.stdout.write(f"  {run.message}")
        planned = None if run.dry_run else (run.mandate or {}).get("rows")
        for difference in differences(planned, decisions.plan_of(run)):
            self.stdout.write(f"  {difference}")
        if run.error:
            self.stderr.write(self.style.ERROR(f"  {run.error}"))

    def _print_plan(self, run: JobRun) -> None:
        for table in decisions.plan_of(run):
            size = "" if table.bytes is None else f", about {filesizeformat(table.bytes)}"
            self.stdout.write(f"  {table.model}: {table.rows} of {table.total} rows{size}")
            if table.oldest:
                self.stdout.write(f"    from {table.oldest} to {table.newest}")
            for month, rows in table.by_month.items():
                self.stdout.write(f"    {month}: {rows}")
            self._print_facts(table)
            if table.held:
                self.stdout.write(f"    held: {table.held}")
            for held in table.held_reasons:
                self.stdout.write(f"      {held.rows}: {held.reason}")
            if table.holds_ending:
                self.stdout.write(f"    holds that end within a week: {table.holds_ending}")
            keys = [str(row.pk) for row in table.sample if row.pk is not None]
            if keys:
                self.stdout.write(f"    such as {', '.join(keys)}")

    def _print_facts(self, table: TablePlan) -> None:
        if table.usual is not None:
            self.stdout.write(f"    usual: {table.usual}")
        for rule in table.rules:
            self.stdout.write(
                f"    {rule.name or 'everything else'}, {rule.days} days: {rule.rows}"
                f" ({rule.sooner} younger than the cutoff, {rule.kept} kept although older)"
            )
        for name, groups in table.groups.items():
            for group in groups:
                label = "others" if group.name is None else group.name or "–"
                self.stdout.write(f"    {name} {label}: {group.rows}")


@contextmanager
def _signals(run: JobRun, stopped: threading.Event) -> Iterator[None]:
    """SIGTERM hands the run back for another attempt by a worker; Ctrl-C cancels it."""

    def hand_back(*_: Any) -> None:
        stopped.set()

    def cancel(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the second Ctrl-C does not wait
        # Not from here: the handler may have interrupted a query on this very connection.
        threading.Thread(target=_cancel, args=(run, stopped)).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, hand_back),
        signal.SIGINT: signal.signal(signal.SIGINT, cancel),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cancel(run: JobRun, stopped: threading.Event) -> None:
    from django.db import connection

    try:
        JobRun.objects.get(pk=run.pk).ask_to_cancel()
    finally:
        stopped.set()  # at the next checkpoint; a run that is asked to cancel is not handed back
        connection.close()
