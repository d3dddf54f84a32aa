"""Stored posts and comments as CSV, JSON Lines or Parquet, in a stream that never holds more than one chunk.

The safety principle: only content that is live on Reddit is exported, as it is when its chunk is read. Each chunk is a
query of its own that begins after the last key; one long snapshot would still hold content that was blanked in the
meantime. The columns are listed here one by one, so that no internal field (holds, sessions) is exported by mistake.
"""

import csv
import importlib.util
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from audit import words
from database.names import folded
from scraping.content.spreadsheet_cells import BYTE_ORDER_MARK, spreadsheet_text
from scraping.models import ContentState, RedditComment, RedditPost

CHUNK_ROWS: Final = 2_000
# Parquet compresses and indexes per row group; small groups make both inefficient.
ROW_GROUP_ROWS: Final = 10_000

_SHARED: Final = ("author", "author_fullname", "body", "score", "created_at", "edited_at", "is_edited")
_SEEN: Final = ("distinguished", "is_stickied", "is_author_deleted", "first_seen_at", "last_seen_at")
# The name in the file, and the path from the model.
COLUMNS: Final[dict[type[models.Model], dict[str, str]]] = {
    RedditPost: {
        name: name
        for name in (
            "fullname", "subreddit", "title", *_SHARED, "url", "permalink", "domain", "flair", "media",
            "gallery", "poll", "crosspost_parent", "crosspost_body", "upvote_ratio", "num_comments", "comments_fetched", "is_self", "is_over_18", "is_spoiler", "is_locked",
            *_SEEN,
        )
    },
    RedditComment: {"fullname": "fullname", "post_fullname": "post__fullname", "subreddit": "post__subreddit"}
    | {
        name: name
        for name in ("parent_fullname", "depth", *_SHARED, "is_submitter", "is_score_hidden", *_SEEN)
    },
}  # fmt: skip

STARTED, ENDED = "export.started", "export.ended"
words.register({STARTED: gettext_noop("began to export"), ENDED: gettext_noop("exported")})


class Format(models.TextChoices):
    """The formats of an export."""

    EXCEL = "excel", gettext_lazy("CSV for Excel")
    CSV = "csv", gettext_lazy("plain CSV")
    JSON_LINES = "jsonl", "JSON Lines"
    PARQUET = "parquet", "Parquet"

    @property
    def suffix(self) -> str:
        """The file name extension of the format."""
        return "csv" if self == Format.EXCEL else str(self.value)


CONTENT_TYPES: Final = {
    Format.EXCEL: "text/csv; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSON_LINES: "application/x-ndjson; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
}


@dataclass
class Tally:
    """Counts the rows of an export while it is read."""

    rows: int = 0
    cells_cut: int = 0  # cells that were longer than a spreadsheet allows


class FormatUnavailable(Exception):
    """The installation cannot write the format; the text says what to install."""


def permission(model: type[models.Model]) -> str:
    """Return the permission to export rows of this model."""
    return f"{model._meta.app_label}.export_{model._meta.model_name}"


def select(
    model: type[models.Model],
    *,
    subreddits: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    config: int | None = None,
) -> QuerySet[Any]:
    """Return posts or comments of these subreddits, made in [since, until), whose post this bot found."""
    rows: QuerySet[Any] = model._default_manager.all()
    post = "" if model is RedditPost else "post__"
    if subreddits:
        rows = rows.filter(**{f"{post}subreddit__folded__in": [folded(name) for name in subreddits]})
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    if until is not None:
        rows = rows.filter(created_at__lt=until)
    return rows if config is None else rows.found_by(config)  # type: ignore[attr-defined]  # both have it


def export(
    rows: QuerySet[Any],
    *,
    format: Format | str,  # noqa: A002  # the word that readers know
    by: User | AnonymousUser | None,
    tally: Tally | None = None,
) -> Iterator[bytes]:
    """Return the live posts or comments among these as pieces of one file, in the order of their keys.

    ``by`` is the person who asks; None stands for a shell on the server, whose user may read the database anyway.
    ``tally`` counts what has been read so far.

    Raises:
        PermissionDenied: the person may not export.
        FormatUnavailable: the format is Parquet, and pyarrow is not installed.
        ValueError: no such format.
    """
    if by is not None and not by.has_perm(permission(rows.model)):
        raise PermissionDenied
    chosen = Format(format)
    if chosen == Format.PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise FormatUnavailable(
            _(
                "Parquet needs the package pyarrow, which is not installed: install requirements/parquet.txt,"
                " or choose CSV or JSON Lines."
            )
        )
    write: dict[Format, Callable[[type[models.Model], Iterator[_Chunk]], Iterator[bytes]]] = {
        Format.CSV: _csv,
        Format.JSON_LINES: _json_lines,
        Format.PARQUET: _parquet,
    }
    tally = tally if tally is not None else Tally()
    chunks = _counted(_chunks(rows), tally)
    return _excel(rows.model, chunks, tally) if chosen == Format.EXCEL else write[chosen](rows.model, chunks)


# --- Rows ---------------------------------------------------------------------------------------

_Chunk = list[tuple[Any, ...]]


def _chunks(rows: QuerySet[Any]) -> Iterator[_Chunk]:
    """Yield the live rows, up to 2,000 at a time, each from a query of its own."""
    paths = COLUMNS[rows.model].values()
    live = rows.filter(state=ContentState.LIVE).order_by("pk").values_list("pk", *paths)
    last = 0
    while chunk := list(live.filter(pk__gt=last)[:CHUNK_ROWS]):
        last = chunk[-1][0]
        yield [row[1:] for row in chunk]


def _counted(chunks: Iterator[_Chunk], tally: Tally) -> Iterator[_Chunk]:
    for chunk in chunks:
        tally.rows += len(chunk)
        yield chunk


def _fields(model: type[models.Model]) -> Iterable[tuple[str, Any]]:
    """Return name and model field of each column."""
    for name, path in COLUMNS[model].items():
        *parents, last = path.split("__")
        owner: Any = model
        for parent in parents:
            owner = owner._meta.get_field(parent).related_model
        yield name, owner._meta.get_field(last)


# --- Formats ------------------------------------------------------------------------------------


def _csv(
    model: type[models.Model], chunks: Iterator[_Chunk], cell: Callable[[Any], Any] | None = None
) -> Iterator[bytes]:
    """Yield CSV (RFC 4180, UTF-8, with a header row); ``cell`` changes each cell's value."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS[model])
    yield text.getvalue().encode()
    for chunk in chunks:
        text.seek(0)
        text.truncate()
        values = [[_cell(value) for value in row] for row in chunk]
        writer.writerows(values if cell is None else [[cell(value) for value in row] for row in values])
        yield text.getvalue().encode()


def _excel(model: type[models.Model], chunks: Iterator[_Chunk], tally: Tally) -> Iterator[bytes]:
    """Yield CSV for Excel: no text is read as a formula, and no cell is longer than Excel allows."""

    def fit(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text, is_cut = spreadsheet_text(value)
        tally.cells_cut += is_cut
        return text

    yield BYTE_ORDER_MARK.encode()
    yield from _csv(model, chunks, fit)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _iso(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json_lines(model: type[models.Model], chunks: Iterator[_Chunk]) -> Iterator[bytes]:
    """Yield one JSON object per line."""
    names = list(COLUMNS[model])
    for chunk in chunks:
        lines = (
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=_iso) for row in chunk
        )
        yield "".join(f"{line}\n" for line in lines).encode()


def _parquet(model: type[models.Model], chunks: Iterator[_Chunk]) -> Iterator[bytes]:
    """Yield a Parquet file by row groups; JSON columns are text."""
    import pyarrow
    from pyarrow import parquet

    types = {
        models.BooleanField: pyarrow.bool_(),
        models.IntegerField: pyarrow.int64(),
        models.FloatField: pyarrow.float64(),
        models.DateTimeField: pyarrow.timestamp("us", tz="UTC"),
    }

    def type_of(field: models.Field) -> Any:
        return next((known for kind, known in types.items() if isinstance(field, kind)), pyarrow.string())

    schema = pyarrow.schema([(name, type_of(field)) for name, field in _fields(model)])
    sink = _Sink()
    with parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for rows in _gather(chunks, ROW_GROUP_ROWS):
            columns = [
                pyarrow.array([_arrow(value) for value in column], type=field.type)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
            yield sink.take()
    yield sink.take()


def _arrow(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _gather(chunks: Iterator[_Chunk], size: int) -> Iterator[_Chunk]:
    """Yield the rows in chunks of at least ``size``, except for the last one."""
    waiting: _Chunk = []
    for chunk in chunks:
        waiting += chunk
        if len(waiting) >= size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


class _Sink(io.RawIOBase):
    """A write-only file whose content is taken out piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
