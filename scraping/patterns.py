"""Compiles the regular expressions of bot owners with RE2, whose running time is linear in the text."""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Return the expression, which ignores case.

    Raises:
        ValueError: it is invalid (https://github.com/google/re2/wiki/Syntax); the text says why.
    """
    import re2  # here, because the models import this module, and few processes match patterns

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False  # it would write them to standard error
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        cause = error.args[0]
        raise ValueError(cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)) from None
