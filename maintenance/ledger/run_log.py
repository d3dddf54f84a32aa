"""The log of a run as people read it: all of it or the lines with some words, on its page or as a text file."""

from collections.abc import Iterator
from datetime import UTC
from typing import Final

from django.db.models import QuerySet
from django.utils import translation

from maintenance.ledger.search import read_as
from maintenance.models import JobRun, RunLogLine

CHUNK_LINES: Final = 500


def lines_of(run: JobRun, words: str = "") -> QuerySet[RunLogLine]:
    """Return the lines of a run's log, oldest first; with ``words``, those that contain them in any case."""
    lines = RunLogLine.objects.filter(run=run).order_by("pk")
    return lines.filter(read_as(words, "text")) if words else lines


def as_text(run: JobRun, words: str = "") -> Iterator[str]:
    """Yield the log as plain text in the language of now, up to 500 lines at a time.

    Each line of the log begins with its time in UTC, and what continues it with four spaces: a spreadsheet reads neither
    as a formula.
    """
    language, lines, last = translation.get_language(), lines_of(run, words), 0
    while chunk := list(lines.filter(pk__gt=last)[:CHUNK_LINES]):
        last = chunk[-1].pk
        with translation.override(language):
            yield "".join(map(_line, chunk))


def _line(line: RunLogLine) -> str:
    text = str(line.text).replace("\x00", "")
    first, *more = text.splitlines() or [""]
    at = line.at.astimezone(UTC).isoformat(timespec="milliseconds")
    return "\n".join([f"{at} {line.level.upper()} {first}", *(f"    {part}" for part in more), ""])
