"""Percentages as text, which never show some as none, or most as all."""


def percent(share: float, *, digits: int = 1) -> str:
    """Format a share (0 to 1) in per cent; what would be rounded to 0 or 100 is written as < 0.1 or > 99.9."""
    text, step = f"{100 * share:.{digits}f}", 10.0**-digits
    if share > 0 and float(text) == 0:
        return f"< {step:g}"
    if share < 1 and float(text) == 100:
        return f"> {100 - step:g}"
    return text
