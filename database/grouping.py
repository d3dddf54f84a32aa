"""Counts in sentences, with a thousands separator."""

import re
from collections.abc import Mapping
from typing import Any

# The placeholder of a count; numbers that are no counts, such as those of runs, are filled in by %s.
_COUNT = re.compile(r"%\((\w+)\)d")


def with_grouped_counts(text: str, values: Mapping[str, Any]) -> str:
    """Return the sentence with its counts filled in, the same in every language: 9,332; all else is left to ``%``."""
    if ")d" not in text:
        return text

    def filled(placeholder: re.Match[str]) -> str:
        value = values.get(placeholder[1])
        return grouped(value) if type(value) is int else placeholder[0]

    return _COUNT.sub(filled, text)


def grouped(count: int) -> str:
    """Return a count for a placeholder that takes a text."""
    return f"{count:,}"
