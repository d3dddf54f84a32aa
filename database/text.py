"""Text from people: made storable, or parsed as a key."""

import re
from typing import Any

from database.messages import Message

# PostgreSQL stores neither NUL nor lone surrogates; every other control character stays.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# 18 digits fit every column of whole numbers, and Python's own limit (4,300 digits) is far away.
DIGITS_MAX = 18


def row_key(text: str) -> int:
    """Return the key of a row that a text names; 0, which no row has, where it can name none."""
    return int(text) if text.isdecimal() and len(text) <= DIGITS_MAX else 0


def storable_text(text: str) -> str:
    """Return the text without NUL and lone surrogates, which PostgreSQL refuses; everything else stays."""
    return _UNSTORABLE.sub("", text)


def storable(text: str) -> str:
    """Return the text, a message with all of its parameters, without what PostgreSQL refuses."""
    return Message(_storable_parts(text.parts)) if isinstance(text, Message) else storable_text(text)


def _storable_parts(parts: Any) -> Any:
    if isinstance(parts, dict):
        return {name: _storable_parts(value) for name, value in parts.items()}
    if isinstance(parts, list):
        return [_storable_parts(value) for value in parts]
    return storable_text(parts) if isinstance(parts, str) else parts
