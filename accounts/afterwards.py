"""Runs a function in a thread of its own, so that the answer to a request neither waits for it nor shows how long it took.

What waits when the process is killed is lost; who asked for a mail asks again.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import Any

from django.db import close_old_connections

logger = logging.getLogger(__name__)

# More waiting functions than this are dropped, so that a mail server that hangs cannot fill the memory.
WAITING_MAX = 200
_free = BoundedSemaphore(WAITING_MAX)
_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="afterwards")


def run(function: Callable[..., None], *args: Any, **options: Any) -> None:
    """Call the function soon, in order, with a database connection of its own; log what it raises.

    Nothing that the open transaction has changed is visible to it.
    """
    if not _free.acquire(blocking=False):
        logger.error("%s was not called: %s functions wait already.", function.__qualname__, WAITING_MAX)
        return
    _pool.submit(copy_context().run, _call, function, args, options)


def _call(function: Callable[..., None], args: tuple[Any, ...], options: dict[str, Any]) -> None:
    close_old_connections()
    try:
        function(*args, **options)
    except Exception:
        # Without the arguments: they name a person.
        logger.exception("%s failed after the answer.", function.__qualname__)
    finally:
        _free.release()
        close_old_connections()
