"""The id of a request, in its answer and on each line that it logs."""

import re
from contextvars import ContextVar
from uuid import uuid4

HEADER = "X-Request-Id"
_USABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")
current: ContextVar[str] = ContextVar("request_id", default="")


def of(header: str | None) -> str:
    """Return the id that the client or a proxy gave, if it can be logged; else a new one."""
    return header if header and _USABLE.fullmatch(header) else uuid4().hex
