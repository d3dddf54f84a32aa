"""Numbers that somebody wrote."""

# 18 digits fit every column of whole numbers, and Python's own limit (4,300 digits) is far away.
DIGITS_MAX = 18


def row_key(text: str) -> int:
    """Return the key of a row that a text names; 0, which no row has, where it can name none."""
    return int(text) if text.isdecimal() and len(text) <= DIGITS_MAX else 0
