"""Names of subjects as people read them. An app registers how the stored names of one of its kinds are read."""

from collections.abc import Callable

_readers: dict[str, Callable[[str], str]] = {}


def register(subject_type: str, read: Callable[[str], str]) -> None:
    """Register what turns a stored name, which may hold a code, into words of the reader's language."""
    _readers[subject_type] = read


def read(subject_type: str, stored: str) -> str:
    """Return the name of a subject in the reader's language."""
    return _readers[subject_type](stored) if stored and subject_type in _readers else stored
