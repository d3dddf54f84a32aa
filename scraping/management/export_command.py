"""The shared part of both export commands: parse, export, print the totals."""

import contextlib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import models
from django.utils.timezone import get_current_timezone

from audit.activity import LIST
from audit.commands import RecordedCommand
from audit.events import Subject, record
from database.messages import english_of
from database.moments import written_moment
from scraping.content import export
from scraping.models import BotConfig
from scraping.subreddit_names import plain_subreddit

# The contract: 0 succeeded, 1 failed, 2 wrong usage.
USAGE = 2


class ExportCommand(RecordedCommand):
    """A command that exports one kind of content; a subclass sets the kind."""

    model: type[models.Model]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options: the file, its format, and the selection."""
        parser.add_argument(
            "--output", metavar="FILE", default="-", help="the file to write (default: standard output)"
        )
        parser.add_argument(
            "--format",
            choices=export.Format.values,
            help="default: the extension of FILE, otherwise csv; excel: csv made safe for Excel",
        )
        parser.add_argument(
            "--subreddit",
            action="append",
            default=[],
            metavar="NAME",
            help="only this subreddit; may be repeated",
        )
        parser.add_argument(
            "--since", metavar="TIME", help="created at this time or later: 2026-01-31 or 2026-01-31T12:00"
        )
        parser.add_argument("--until", metavar="TIME", help="created before this time")
        parser.add_argument("--config", metavar="BOT", help="only what this bot found: its id or name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the export, and exit with a code of the contract."""
        since, until = (_moment(option, options[option]) for option in ("since", "until"))
        if since and until and since >= until:
            raise CommandError("--since must be before --until.", returncode=USAGE)
        rows = export.select(
            self.model,
            subreddits=[plain_subreddit(name) for name in options["subreddit"]],
            since=since,
            until=until,
            config=_config(options["config"]) if options["config"] else None,
        )
        tally = export.Tally()
        try:
            pieces = export.export(rows, format=_format(options), by=None, tally=tally)
        except export.FormatUnavailable as error:
            raise CommandError(str(error)) from None
        try:
            with self._output(options["output"]) as file:
                size = sum(file.write(piece) for piece in pieces)
                file.flush()
        except BrokenPipeError:
            # The reader (such as `head`) has closed the pipe; a second error at exit would only hide that.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except OSError as error:
            raise CommandError(f"{options['output']}: {error.strerror or error}") from error
        names = str(english_of(self.model._meta.verbose_name_plural))
        sums = {"rows": tally.rows, "cells_cut": tally.cells_cut, "complete": True}
        record(export.ENDED, Subject(LIST, self.model._meta.label, names), parameters=sums)
        cut = f", {tally.cells_cut:,} cells cut" if tally.cells_cut else ""
        self.stderr.write(f"{self.model._meta.verbose_name_plural}: {tally.rows:,} rows, {size:,} bytes{cut}")

    @contextlib.contextmanager
    def _output(self, name: str) -> Iterator[BinaryIO]:
        """Yield standard output, or a temporary file that gets its name only once it is complete."""
        if name == "-":
            yield cast(BinaryIO, self.stdout.buffer)
            return
        part = Path(f"{name}.part")
        try:
            with part.open("wb") as file:
                yield file
            part.replace(name)
        finally:
            part.unlink(missing_ok=True)


def _format(options: dict[str, Any]) -> str:
    suffix = Path(options["output"]).suffix.removeprefix(".")
    return str(options["format"] or (suffix if suffix in export.Format.values else export.Format.CSV))


def _moment(option: str, text: str | None) -> datetime | None:
    """Return the time, in the console's time zone unless it gives another one."""
    if text is None:
        return None
    moment = written_moment(text, get_current_timezone())
    if moment is None:
        raise CommandError(
            f"--{option}: {text!r} is no time such as 2026-01-31 or 2026-01-31T12:00.", returncode=USAGE
        )
    return moment


def _config(text: str) -> int:
    try:
        return BotConfig.objects.named(text).pk
    except ValidationError as error:
        raise CommandError(f"--config: {' '.join(error.messages)}", returncode=USAGE) from None
