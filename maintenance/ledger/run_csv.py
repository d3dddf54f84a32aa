"""A list of runs as CSV for a spreadsheet, in a stream that never holds more than one chunk."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import translation

from maintenance.models import JobRun
from scraping.content.spreadsheet_cells import BYTE_ORDER_MARK, spreadsheet_text

CHUNK_ROWS: Final = 1_000
COLUMNS: Final = (
    "id",
    "job",
    "status",
    "reason",
    "trigger",
    "requested_by",
    "schedule",
    "slot",
    "dry_run",
    "attempt",
    "queued_at",
    "started_at",
    "finished_at",
    "duration_seconds",
    "params",
    "counts",
    "message",
    "error",
)
_LONG: Final = ("traceback", "cursor", "plan", "mandate")


def as_csv(runs: QuerySet[JobRun]) -> Iterator[bytes]:
    """Yield the runs as CSV, newest first: UTF-8 with a byte order mark, times in UTC, texts in the language of now.

    No cell is a formula (``spreadsheet_text``), and none holds what looks like a credential.
    """
    language = translation.get_language()
    yield (BYTE_ORDER_MARK + _written([COLUMNS])).encode()
    rows, last = runs.order_by("-pk").defer(*_LONG), None
    while chunk := list((rows if last is None else rows.filter(pk__lt=last))[:CHUNK_ROWS]):
        last = chunk[-1].pk
        with translation.override(language):
            yield _written([[_cell(value) for value in _values(run)] for run in chunk]).encode()


def _values(run: JobRun) -> list[Any]:
    return [
        run.pk,
        run.job,
        run.status,
        run.reason,
        run.trigger,
        run.requested_by_name,
        run.schedule_name,
        run.scheduled_for,
        run.dry_run,
        run.attempt,
        run.queued_at,
        run.started_at,
        run.finished_at,
        round(run.duration.total_seconds(), 3) if run.duration is not None else None,
        json.dumps(run.params, ensure_ascii=False) if run.params else "",
        json.dumps(run.counts, ensure_ascii=False) if run.counts else "",
        run.message,
        run.error,
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, str):
        return spreadsheet_text(value)[0]
    return value


def _written(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
