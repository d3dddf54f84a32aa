"""Waits for a run to end, on behalf of one caller at a time.

A waiter holds a thread of the web process, which has four; the console must go on answering.
"""

import re
import time
from threading import BoundedSemaphore
from typing import Annotated

from ninja import Header

from maintenance.models import JobRun

PreferHeader = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description="`wait=N`: wait up to N seconds, at most 60, until the run is over. Other preferences are ignored.",
        examples=["wait=30"],
    ),
]
SECONDS_MAX = 60
POLL_SECONDS = 0.2
WAITERS_MAX = 1
_free = BoundedSemaphore(WAITERS_MAX)


def asked(prefer: str | None) -> int:
    """Return for how many seconds the header ``Prefer`` asks to wait; 0: not at all."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*(\d{1,9})(?:$|[,;\s])", prefer or "", re.ASCII | re.IGNORECASE)
    return min(int(found[1]), SECONDS_MAX) if found else 0


def until_final(run: JobRun, seconds: int) -> bool:
    """Wait until the run is over; False: it is not, or somebody else waits in this process."""
    if not _free.acquire(blocking=False):
        return False
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run.refresh_from_db()
            if run.is_final:
                return True
            time.sleep(POLL_SECONDS)
    finally:
        _free.release()
    return False
