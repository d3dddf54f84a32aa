"""Limits of requests by token, person and address.

Each web process counts in its own memory, because a read must not cost a write in the database: with N processes a
client gets up to N times the limit. Guesses of passwords are counted for all processes together, by the sign-in (ADR 38).
"""

import math
import time
from collections import OrderedDict
from threading import Lock

from django.http import HttpRequest

from api.problems import Problem

WINDOW_SECONDS = 60
PER_CALLER, PER_ADDRESS = 600, 1_200
KEYS_MAX = 10_000
_counts: OrderedDict[tuple[str, int], int] = OrderedDict()
_lock = Lock()


def count(request: HttpRequest, key: str, limit: int) -> None:
    """Count a request; the answer gets the headers ``RateLimit`` and ``RateLimit-Policy``.

    Raises:
        Problem: 429, when the limit of this minute is reached.
    """
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    left_seconds = math.ceil((window + 1) * WINDOW_SECONDS - now)
    with _lock:
        used = _counts[key, window] = _counts.get((key, window), 0) + 1
        while len(_counts) > KEYS_MAX:
            _counts.popitem(last=False)
    headers = {
        "RateLimit-Policy": f'"minute";q={limit};w={WINDOW_SECONDS}',
        "RateLimit": f'"minute";r={max(0, limit - used)};t={left_seconds}',
    }
    request.rate_limit = headers  # type: ignore[attr-defined]
    if used > limit:
        raise Problem(429, headers={"Retry-After": str(left_seconds)})


def forget() -> None:
    """Forget all counts; for tests."""
    _counts.clear()
