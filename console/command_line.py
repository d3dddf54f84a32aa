"""What `manage.py` says when the database keeps a command from its work: a sentence with the remedy, no stack trace."""

from collections.abc import Mapping

from django.db import Error

from console.schema import missing_migrations
from database.errors import Cause, cause_of, first_line

REMEDIES: Mapping[Cause, str] = {
    Cause.FULL: "Free disk space, then run the command again.",
    Cause.LOCKED: "Another session holds the lock: run the command again when it is done.",
    Cause.TIMEOUT: "It took longer than the database allows: run the command again at a quieter time.",
    Cause.READ_ONLY: "It takes no changes: name the primary in DATABASE_URL, or see who may write to its files.",
    Cause.OVERLOADED: "Run the command again in a moment.",
    Cause.LOST: "See that it runs and that DATABASE_URL names it, then run the command again.",
}


def in_words(error: Error) -> str | None:
    """Return what an operator must do about this error of the database; None if it is a fault of the program."""
    if (cause := cause_of(error)) is not None:
        return f"The database refused: {first_line(error)} {REMEDIES[cause]}"
    # A missing table or column, where the schema is not this release's.
    try:
        missing = missing_migrations()
    except Error:
        return None
    if not missing:
        return None
    return f"The database lacks {missing} migrations of this release: run manage.py migrate, then the command again."
