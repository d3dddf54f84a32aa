"""Regular expressions of bot owners: RE2, whose time grows with the text alone, whatever the expression."""

from functools import lru_cache
from typing import Any

import re2

_OPTIONS = re2.Options()
_OPTIONS.case_sensitive = False
_OPTIONS.log_errors = False  # it would write them to standard error


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Return the expression, which ignores case.

    Raises:
        ValueError: it is none (https://github.com/google/re2/wiki/Syntax); the text says why.
    """
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        cause = error.args[0]
        raise ValueError(cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)) from None
