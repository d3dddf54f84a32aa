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


# PostgreSQL's codes, and the words of SQLite's messages, for a table or column that is not there.
NOT_THERE = ("42P01", "42703")
NOT_THERE_WORDS = ("no such table", "no such column", "has no column named")


def in_words(error: Error, command: str = "") -> str | None:
    """Return what an operator must do about this error of the database; None if it is a fault of the program.

    Of ``migrate`` too: what a migration does wrong is told with its trace.
    """
    if (cause := cause_of(error)) is not None:
        return f"The database refused: {first_line(error)} {REMEDIES[cause]}"
    is_missing = getattr(error.__cause__, "pgcode", None) in NOT_THERE or any(
        words in str(error) for words in NOT_THERE_WORDS
    )
    if command == "migrate" or not is_missing:
        return None
    try:
        missing = missing_migrations()
    except Error:
        return None
    if not missing:
        return None
    remedy = f"The database lacks {missing} migrations of this release: run manage.py migrate, then the command again."
    return f"{first_line(error)} {remedy}"
