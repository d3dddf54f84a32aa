"""The only way to compare names that are case-insensitive, such as those of subreddits.

Only ASCII letters are folded: the same in Python, on SQLite and on PostgreSQL. ``Lower`` and ``iexact`` depend on the
collation of the database: a Turkish one turns "IAmA" into "ıama", which never equals Python's "iama".

``posts.filter(subreddit__folded=folded(name))``; an index or a constraint takes ``Folded("subreddit")``.
"""

from typing import Any

from django.db import connection as default_connection
from django.db import models
from django.db.models import Transform
from django.db.models.sql.compiler import SQLCompiler


def folded(name: str) -> str:
    """Return the same as ``Folded``: the name with its ASCII letters in lower case, other letters unchanged."""
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def folded_sql(column: str, vendor: str | None = None) -> str:
    """Return ``Folded`` of a column as SQL, for hand-written statements."""
    is_postgres = (vendor or default_connection.vendor) == "postgresql"
    # SQLite's LOWER changes ASCII letters only; PostgreSQL's does the same with the collation "C".
    return f'LOWER(({column}) COLLATE "C")' if is_postgres else f"LOWER({column})"


@models.CharField.register_lookup
class Folded(Transform):
    """A name in the form in which it is compared."""

    lookup_name = "folded"

    def as_sql(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> Any:  # type: ignore[override]  # the stubs name every keyword
        """Return the same expression as ``folded_sql``."""
        return super().as_sql(
            compiler, connection, template=folded_sql("%(expressions)s", connection.vendor), **extra
        )
