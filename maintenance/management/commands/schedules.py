"""`manage.py schedules export | plan | apply FILE`: schedules, retentions, pauses and windows as a file in version control."""

import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError

from audit.commands import RecordedCommand
from database import clock
from maintenance.management.job_command import USAGE
from maintenance.scheduling.schedule_file import applying, costs, windows, writing
from maintenance.scheduling.schedule_file.entries import BadFile, Document
from maintenance.scheduling.schedule_file.planning import Kind, Plan
from maintenance.scheduling.schedule_file.reading import read

# Of `plan`: something would change. No other command of the console ends with it.
WOULD_CHANGE = 5


class Command(RecordedCommand):
    """Write, compare and apply the file."""

    help = (
        "Keep schedules, retentions, pauses and maintenance windows as one YAML file: "
        "export it, plan what it changes, apply it."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to do, and the file."""
        parser.add_argument("what", choices=["export", "plan", "apply"])
        parser.add_argument("file", metavar="FILE", help="a YAML file; - is standard output or input")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="also delete schedules and windows, and end pauses, that the file does not have",
        )
        parser.add_argument(
            "--plan",
            metavar="CHECKSUM",
            help="with apply: the checksum that plan printed; refuse if another plan would be carried out now",
        )
        parser.add_argument(
            "--yes", action="store_true", help="with apply: do not ask; carry out whatever the plan is now"
        )
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="with apply: why; kept in the events"
        )

    def changes_something(self, options: dict[str, Any]) -> bool:
        """Whether the file is applied."""
        return bool(options["what"] == "apply")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; exit with 2 for a file that cannot be applied, and plan with 5 if something would change."""
        what, file, prune = options["what"], options["file"], options["prune"]
        _refuse_what_has_no_effect(options)
        if what == "export":
            self._export(file)
            return
        try:
            wanted = read(_text_of(file), now=clock.now())
            if what == "plan":
                self._plan(wanted, prune=prune, file=file)
            else:
                planned = options["plan"]
                if planned is None and not options["yes"]:
                    planned = self._confirmed(wanted, prune=prune, file=file)
                self._apply(wanted, prune=prune, reason=options["reason"].strip(), planned=planned)
        except BadFile as error:
            lines = [f"{file}, {problem}" for problem in error.problems]
            raise CommandError("\n".join([*lines, "Nothing was changed."]), returncode=USAGE) from None
        except PermissionDenied as error:
            raise CommandError(f"{error} Nothing was changed.") from None
        except applying.OtherPlan as error:
            self._print(error.made)
            text = "This is not the plan that was made: something has changed since. Nothing was changed."
            raise CommandError(f"{text} If it is right: --plan {error.made.checksum}") from None

    def _export(self, file: str) -> None:
        text = writing.as_yaml(writing.stored())
        if file == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(file).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.", returncode=USAGE) from None

    def _plan(self, wanted: Document, *, prune: bool, file: str) -> None:
        plan = applying.plan(wanted, prune=prune)
        self._print(plan)
        if not plan.changes:
            self.stdout.write("Nothing would change.")
            return
        self._tell(plan)
        pruned = " --prune" if prune else ""
        told = f"schedules apply {shlex.quote(file)}{pruned} --plan {plan.checksum}"
        self.stdout.write(f"To apply exactly this: {told}")
        raise SystemExit(WOULD_CHANGE)

    def _tell(self, plan: Plan) -> None:
        for line in [*costs.lines(plan), *windows.lines(plan)]:
            self.stdout.write(line)
        self.stdout.write(f"Would {_numbers(plan, 'create', 'change', 'delete')}.")

    def _confirmed(self, wanted: Document, *, prune: bool, file: str) -> str:
        """Show the plan and ask; return its checksum."""
        plan = applying.plan(wanted, prune=prune)
        if not plan.changes:
            return plan.checksum
        if file == "-" or not sys.stdin.isatty():
            text = "There is nobody to ask: add --plan CHECKSUM, which plan prints, or --yes. Nothing was changed."
            raise CommandError(text, returncode=USAGE)
        self._print(plan)
        self._tell(plan)
        self.stdout.write("Apply this? [y/N] ", ending="")
        self.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")
        return plan.checksum

    def _apply(self, wanted: Document, *, prune: bool, reason: str, planned: str | None) -> None:
        plan = applying.apply(wanted, by=None, prune=prune, reason=reason, planned=planned)
        self._print(plan)
        if not plan.changes:
            self.stdout.write("Nothing was to change.")
            return
        self.stdout.write(self.style.SUCCESS(f"Done: {_numbers(plan, 'created', 'changed', 'deleted')}."))

    def _print(self, plan: Plan) -> None:
        for line in plan.lines():
            self.stdout.write(line)


def _refuse_what_has_no_effect(options: dict[str, Any]) -> None:
    what = options["what"]
    if what != "apply" and (options["plan"] is not None or options["yes"] or options["reason"]):
        raise CommandError("--plan, --yes and --reason go with apply.", returncode=USAGE)
    if what == "export" and options["prune"]:
        raise CommandError("--prune goes with plan and apply.", returncode=USAGE)


def _numbers(plan: Plan, created: str, changed: str, deleted: str) -> str:
    words = ((Kind.CREATED, created), (Kind.CHANGED, changed), (Kind.DELETED, deleted))
    return ", ".join(f"{word} {plan.count(kind)}" for kind, word in words if plan.count(kind))


def _text_of(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.", returncode=USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is no text in UTF-8.", returncode=USAGE) from None
