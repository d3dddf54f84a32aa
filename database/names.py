"""Names that are the same however they are capitalised, such as those of subreddits: the one way to compare them.

Only ASCII letters are folded, in Python, on SQLite and on PostgreSQL alike. ``Lower`` and ``iexact`` follow the
collation of the database instead: a Turkish one makes "ıama" of "IAmA", which Python's "iama" never equals.

``posts.filter(subreddit__folded=folded(name))``; an index or a constraint takes ``Folded("subreddit")``.
"""

from typing import Any

from django.db import connection as default_connection
from django.db import models
from django.db.models import Transform
from django.db.models.sql.compiler import SQLCompiler


def folded(name: str) -> str:
    """Return the name as ``Folded`` gives it: with its ASCII letters in lower case, the others as they are."""
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def folded_sql(column: str, vendor: str | None = None) -> str:
    """Return ``Folded`` of a column for a statement written by hand."""
    is_postgres = (vendor or default_connection.vendor) == "postgresql"
    # SQLite's LOWER knows ASCII only; PostgreSQL's does by the collation "C".
    return f'LOWER(({column}) COLLATE "C")' if is_postgres else f"LOWER({column})"


@models.CharField.register_lookup
class Folded(Transform):
    """A name as the database compares it."""

    lookup_name = "folded"

    def as_sql(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> Any:  # type: ignore[override]  # the stubs name every keyword
        """Return the same expression as ``folded_sql``."""
        return super().as_sql(
            compiler, connection, template=folded_sql("%(expressions)s", connection.vendor), **extra
        )
