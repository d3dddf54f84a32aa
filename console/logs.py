"""The lines of the log: as text or as JSON, with the ids of their run and request, and without secrets.

A refused request is one line with the account and address, instead of a traceback without them.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from adminkit.address import client_address
from api import request_ids
from database.redaction import redacted
from maintenance.ledger import current_run

SERVER_ERROR = 500


class RefusalInOneLine(logging.Filter):
    """Remove the traceback from Django's log record of a refused request, and add account and address."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and keep it."""
        request = getattr(record, "request", None)
        is_refusal = getattr(record, "status_code", SERVER_ERROR) < SERVER_ERROR
        # Each handler filters the same record.
        if isinstance(request, HttpRequest) and is_refusal and not hasattr(record, "account"):
            user = getattr(request, "user", None)
            account = user.get_username() if user is not None and user.is_authenticated else "nobody"
            record.account = account
            record.exc_info = record.exc_text = None
            address = client_address(request)
            said = record.getMessage()
            record.msg = "%s (%s; account %r, address %s)"
            record.args = (said, request.method, account, address)
        return True


class WithIds(logging.Filter):
    """Gives each record ``run_id`` and ``request_id``; None: it belongs to none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and keep it."""
        if not hasattr(record, "run_id"):
            record.run_id = current_run.current.get() or _run_of_message(record)
        if not hasattr(record, "request_id"):
            # Django logs some answers after all middleware.
            request = getattr(record, "request", None)
            record.request_id = request_ids.current.get() or getattr(request, "request_id", None)
        return True


# The arguments of a job's message, as Celery's own lines carry them.
_ONE_NUMBER = re.compile(r"[(\[](\d{1,18}),?[)\]]\Z")


def _run_of_message(record: logging.LogRecord) -> int | None:
    """Return the run that a line of Celery's main process is about."""
    data = getattr(record, "data", None)
    if not isinstance(data, dict) or not str(data.get("name", "")).startswith("maintenance."):
        return None
    found = _ONE_NUMBER.match(str(data.get("args", "")))
    return int(found[1]) if found else None


class TextLines(logging.Formatter):
    """A line for people: time, level, logger, message, the ids in brackets; a traceback follows it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        """Return the line without its traceback."""
        run_id, request_id = getattr(record, "run_id", None), getattr(record, "request_id", None)
        ids = [f"run {run_id}"] if run_id else []
        ids += [str(request_id)] if request_id else []
        suffix = f" [{', '.join(ids)}]" if ids else ""
        when = self.formatTime(record)
        return f"{when} {record.levelname:<7} {record.name}: {record.message}{suffix}"

    def usesTime(self) -> bool:  # noqa: N802  (logging's name)
        """Return False: the line writes its time itself."""
        return False

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with its traceback, without secrets."""
        return redacted(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, process, and run, request, exception if there are."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
            "process": record.process,
        }
        if run_id := getattr(record, "run_id", None):
            line["run"] = run_id
        if request_id := getattr(record, "request_id", None):
            line["request"] = request_id
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        elif record.exc_text:
            line["exception"] = redacted(record.exc_text)
        if record.stack_info:
            line["stack"] = redacted(record.stack_info)
        return json.dumps(line, ensure_ascii=False)


FORMATTERS = {"text": TextLines, "json": JsonLines}


def use_for_the_web_server(log_format: str) -> None:
    """Give gunicorn's loggers of this process the console's lines."""
    for name in ("gunicorn.access", "gunicorn.error"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(FORMATTERS[log_format]())
