"""A shape for each state, in addition to its colour, for readers who cannot tell the colours apart.

Each is drawn in a box of 12 by 12 units. Colours come from the style sheet, by the class ``mark-<kind>``.
"""

from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

# By kind: the path, as SVG writes it. An even-odd fill makes the inner one of two outlines a hole.
PATHS: Final = {
    "succeeded": "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10z",
    "running": "M3 1l8 5l-8 5z",
    "queued": "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM6 3.2a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6z",
    # A circle whose lower half is filled: half was done.
    "partial": "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM6 2.6a3.4 3.4 0 0 1 3.4 3.4H2.6a3.4 3.4 0 0 1 3.4-3.4z",
    "failed": "M2.8 1L6 4.2L9.2 1L11 2.8L7.8 6L11 9.2L9.2 11L6 7.8L2.8 11L1 9.2L4.2 6L1 2.8z",
    "cancelled": "M1 1H11V11H1zM3 3V9H9V3z",
    # Broken in two.
    "interrupted": "M1 1H8L5.6 5H1zM11 11H4L6.4 7H11z",
    "skipped": "M1 1L6 6L1 11zM6 1L11 6L6 11z",
    # An hourglass that has run out.
    "missed": "M1 1H11L1 11H11z",
    "blocked": "M6 0L12 6L6 12L0 6z",
    "paused": "M2 1H5V11H2zM7 1H10V11H7z",
    "warning": "M6 0.5L12 11.5H0zM5.3 4.5V8H6.7V4.5zM5.3 9V10.3H6.7V9z",
    # How a figure has changed.
    "up": "M6 1L11 10H1z",
    "down": "M6 11L1 2H11z",
    "same": "M1 3H11V5H1zM1 7H11V9H1z",
    "planned": "M6 2a4 4 0 1 0 0 8a4 4 0 1 0 0-8zM6 3.4a2.6 2.6 0 1 1 0 5.2a2.6 2.6 0 1 1 0-5.2z",
}


def mark(kind: str) -> SafeString:
    """Return the shape of a state as an inline SVG; the text beside it says what it means."""
    return format_html(
        '<svg class="mark mark-{}" viewBox="0 0 12 12" aria-hidden="true" focusable="false">'
        '<path fill-rule="evenodd" d="{}"/></svg>',
        kind,
        PATHS.get(kind, PATHS["queued"]),
    )
