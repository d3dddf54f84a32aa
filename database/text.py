"""Text from people: cleaned so that it can be stored, or parsed as a key."""

import re
from typing import Any

from database.messages import Message

# PostgreSQL cannot store NUL and lone surrogates; all other control characters are kept.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# 18 digits fit every integer column, and are far below Python's own limit (4,300 digits).
DIGITS_MAX = 18


def row_key(text: str) -> int:
    """Parse a text as the key of a row; 0, which no row has, if it cannot be one."""
    return int(text) if text.isdecimal() and len(text) <= DIGITS_MAX else 0


def storable_text(text: str) -> str:
    """Return the text without NUL and lone surrogates, which PostgreSQL refuses; everything else stays."""
    return _UNSTORABLE.sub("", text)


def storable(text: str) -> str:
    """Return the text without the characters that PostgreSQL refuses, also in the parameters of a message."""
    return Message(_storable_parts(text.parts)) if isinstance(text, Message) else storable_text(text)


def _storable_parts(parts: Any) -> Any:
    if isinstance(parts, dict):
        return {name: _storable_parts(value) for name, value in parts.items()}
    if isinstance(parts, list):
        return [_storable_parts(value) for value in parts]
    return storable_text(parts) if isinstance(parts, str) else parts
